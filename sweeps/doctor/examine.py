"""The doctor's round: asks the machines, the token and MLflow, and judges what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from sweeps import bucket, cluster, preflight, tracking
from sweeps.doctor import token
from sweeps.doctor.checks import CHECKS, clock, limits, pictures, space, storage, versions, weights
from sweeps.doctor.facts import Evidence
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

DRIVERS = (versions, storage, space, limits)
"""What is looked at of a driver that could not join its cluster."""


def examine(asked: Asked) -> list[Finding]:
    """Looks at everything; a cluster that lets nobody in is a finding too."""
    remote = asked.address is not None
    found = list(token.judge(token.Token.here(), remote=remote, insecure=asked.insecure))
    if not remote:
        found += _judged(CHECKS, _ask(asked))
    elif any(finding.level == WRONG for finding in found):
        found += _apart(asked)
    else:
        try:
            found += _together(asked)
        except EnvironmentTrouble as error:
            found += [Finding.of_message("cluster", str(error)), *_apart(asked)]
    found.append(_of_visit(tracking.visit(asked.tracking_uri, asked.storage)))
    return found


def before_sweep(plan: Plan, storage: Path) -> None:
    """Looks at what would stop a sweep on the cluster that has been joined, and is fast about it.

    Raises:
        EnvironmentTrouble: With a line for each thing that is wrong.
    """
    evidence = _ask(Asked(storage, plan), joined=True, thorough=False)
    wrong = [finding for finding in _judged(FAST, evidence) if finding.level == WRONG]
    if wrong:
        raise EnvironmentTrouble("\n".join(finding.line for finding in wrong))


def _together(asked: Asked) -> list[Finding]:
    """What is found on a cluster.

    Raises:
        EnvironmentTrouble: It cannot be joined, or is lost meanwhile.
    """
    with cluster.connected(asked.address, verbose=False, insecure=asked.insecure):
        evidence = _ask(asked, joined=True)
    return [Finding("cluster", OK, f"{asked.address} lets us in"), *_judged(CHECKS, evidence)]


def _apart(asked: Asked) -> list[Finding]:
    """What is found of the driver alone."""
    unasked = Finding("nodes", WARNING, "not asked: there is no way in", "mend that first")
    return [unasked, *_judged(DRIVERS, _ask(replace(asked, plan=None)))]


def _judged(
    checks: Sequence[Callable[[Evidence], Iterator[Finding]]], evidence: Evidence
) -> list[Finding]:
    return [finding for check in checks for finding in check(evidence)]


def _ask(asked: Asked, *, joined: bool = False, thorough: bool = True) -> Evidence:
    """What all machines say: the nodes of the cluster that has been joined, or this one alone."""
    plan, refused = asked.plan, ""
    with ExitStack() as stack:
        try:
            place = stack.enter_context(meeting(asked.storage))
        except EnvironmentTrouble as error:
            refused, place = str(error), asked.storage / "nowhere"
        question = Question.about(plan, place, thorough=thorough)
        if joined:
            nodes = Round(question)  # They look while this machine does.
            here = ask_here(question.without_material, 0)
            trains = nodes.answers(ANSWER_SECONDS if thorough else FAST_ANSWER_SECONDS)
        else:
            here = ask_here(question, float(preflight.gpus() or 0))
            trains = (here,)
    return Evidence(
        storage=bucket.spoken(asked.storage),
        here=here,
        trains=trains,
        refused=refused,
        misfits=tuple(_misfits(plan, joined=joined)) if plan else (),
        gpu=max(needs.gpu for needs in plan.kinds()) if plan else 0.0,
    )


def _misfits(plan: Plan, *, joined: bool) -> Iterator[str]:
    if not joined:
        yield from map(str, preflight.misfits(plan))
        return
    try:
        cluster.check_resources(plan, local=False)
    except UserError as error:
        yield str(error)


def _of_visit(visit: tracking.Visit) -> Finding:
    """No trial waits for MLflow: only an address that can never be a store's stops a sweep."""
    if not visit.usable:
        return Finding("MLflow", WRONG, visit.found, visit.remedy)
    if visit.remedy:
        return Finding("MLflow", WARNING, visit.found, visit.remedy)
    return Finding("MLflow", OK, visit.found)
