"""The doctor's round: asks the machines, the token and MLflow, and judges what they say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from sweeps import cluster, preflight, tracking
from sweeps.doctor import token
from sweeps.doctor.checks import CHECKS, clock, pictures, space, storage, versions, weights
from sweeps.doctor.facts import Evidence, Machine
from sweeps.doctor.finding import OK, WARNING, WRONG, Finding
from sweeps.doctor.meeting import meeting
from sweeps.doctor.nodes import Round, ask_here
from sweeps.doctor.question import Asked, Question
from sweeps.errors import EnvironmentTrouble, UserError
from sweeps.plan import Plan

ANSWER_SECONDS = 90
FAST_ANSWER_SECONDS = 15

FAST = (versions, storage, space, pictures, weights, clock)
"""What is looked at before a sweep. A node that is silent then is left to the first trial that it
is given: it may just be leaving."""


def examine(asked: Asked) -> list[Finding]:
    """Looks at everything; a cluster that lets nobody in is a finding too."""
    remote = asked.address is not None
    found = list(token.judge(token.Token.here(), remote=remote, insecure=asked.insecure))
    with ExitStack() as stack:
        joined = False
        if remote and not any(finding.level == WRONG for finding in found):
            try:
                stack.enter_context(
                    cluster.connected(asked.address, verbose=False, insecure=asked.insecure)
                )
            except EnvironmentTrouble as error:
                found.append(Finding.of_message("cluster", str(error)))
            else:
                joined = True
                found.append(Finding("cluster", OK, f"{asked.address} lets us in"))
        evidence = _ask(asked, joined=joined, thorough=True)
        found += [finding for check in CHECKS for finding in check(evidence)]
    visit = tracking.visit(asked.tracking_uri, asked.storage)
    found.append(_of_visit(visit))
    return found


def before_sweep(plan: Plan, storage: Path) -> None:
    """Looks at what would stop a sweep on the cluster that has been joined, and is fast about it.

    Raises:
        EnvironmentTrouble: With a line for each thing that is wrong.
    """
    evidence = _ask(Asked(storage, plan, address="joined"), joined=True, thorough=False)
    wrong = [f for check in FAST for f in check(evidence) if f.level == WRONG]
    if wrong:
        raise EnvironmentTrouble("\n".join(finding.line for finding in wrong))


def _ask(asked: Asked, *, joined: bool, thorough: bool) -> Evidence:
    """What all machines say."""
    plan, local = asked.plan, asked.address is None
    refused = ""
    with ExitStack() as stack:
        try:
            place = stack.enter_context(meeting(asked.storage))
        except EnvironmentTrouble as error:
            refused, place = str(error), asked.storage / "nowhere"
        counted = float(preflight.gpus() or 0) if local else 0.0
        question = Question.about(plan, place, thorough=thorough)
        asked_nodes = Round(question) if joined else None
        here = ask_here(question if local else question.without_material, counted)
        trains: tuple[Machine, ...] = (here,) if local else ()
        if asked_nodes:
            trains = asked_nodes.answers(ANSWER_SECONDS if thorough else FAST_ANSWER_SECONDS)
    return Evidence(
        storage=str(asked.storage),
        here=here,
        trains=trains,
        refused=refused,
        misfits=tuple(_misfits(plan, joined=joined)) if plan and (local or joined) else (),
        gpu=plan.resources.gpu if plan else 0.0,
    )


def _misfits(plan: Plan, *, joined: bool) -> Iterator[str]:
    if not joined:
        yield from map(str, preflight.misfits(plan))
        return
    try:
        cluster.check_resources(plan.resources, local=False)
    except UserError as error:
        yield str(error)


def _of_visit(visit: tracking.Visit) -> Finding:
    """No trial waits for MLflow: only an address that can never be a store's stops a sweep."""
    if not visit.usable:
        return Finding("MLflow", WRONG, visit.found, visit.remedy)
    if visit.remedy:
        return Finding("MLflow", WARNING, visit.found, visit.remedy)
    return Finding("MLflow", OK, visit.found)
