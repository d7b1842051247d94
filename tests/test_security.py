"""SECURITY.md: what it names exists, and every claim of it is held to by a test."""

import ast
import re
from pathlib import Path

import click
import pytest

from sweeps.cli import main

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "SECURITY.md").read_text()

CLAIMS = [
    ("safe YAML with bounded", "sweeps/test_yamlfile.py", "test_a_bomb_takes_little_memory"),
    ("names are shown, never run", "faults/test_payloads.py", "test_latex_sees_letters"),
    ("in the page", "sweeps/test_report_page.py", "test_thirty_payloads_are_text_everywhere"),
    ("in CSV", "faults/test_payloads.py", "test_no_cell_of_a_table_is_a_formula"),
    ("in MLflow's notes", "faults/test_payloads.py", "test_mlflows_note_shows_them_as_text"),
    ("in the terminal", "faults/test_payloads.py", "test_a_terminal_is_told_no_command"),
    (
        "names that lead out of the folder are refused",
        "faults/test_strangers.py",
        "test_a_plan_that_leads_outside_is_refused",
    ),
    ("only with `--trust`", "faults/test_strangers.py", "test_plug_ins_of_a_stranger_do_not_run"),
    (
        "when one byte of them changes",
        "faults/test_strangers.py",
        "test_trust_is_of_what_was_there_when_it_was_given",
    ),
    (
        "a program in it is refused in one line",
        "faults/test_strangers.py",
        "test_a_program_in_a_checkpoint_is_told_in_a_line_and_not_run",
    ),
    ("`weights_only=True` at every call", "test_static_gate.py", "test_the_gate_shuts"),
    (
        "each checked for its size",
        "gancore/data/test_canvas.py",
        "test_a_bomb_is_refused_by_its_header",
    ),
    (
        "we unpack nothing",
        "faults/test_strangers.py",
        "test_an_archive_is_refused_by_name_and_not_unpacked",
    ),
    ("we write them and never read them", "test_static_gate.py", "test_no_source_runs_what_it"),
    (
        "Ray of a local run and `gansweep ui` listen on loopback only",
        "faults/test_doors.py",
        "test_ray_of_a_local_run_is_heard_on_loopback_only",
    ),
    ("of `cluster.yaml` too", "test_cluster_file.py", "test_every_start_of_ray_asks_for_the_token"),
    (
        "unless you say `--insecure`",
        "faults/test_doors.py",
        "test_a_cluster_without_a_token_is_joined_by_the_flag_alone",
    ),
    (
        "MLflow answers to its own two names only",
        "faults/test_doors.py",
        "test_a_name_that_was_bound_to_this_machine_reaches_nothing",
    ),
    (
        "takes no change from another page",
        "faults/test_doors.py",
        "test_a_page_from_elsewhere_changes_nothing",
    ),
    ("are dropped", "faults/test_doors.py", "test_no_variable_of_another_server_comes_through"),
    ("mode 0600", "faults/test_doors.py", "test_the_token_is_ours_alone_whatever_the_umask"),
    (
        "secrets of the environment and of addresses are taken out",
        "faults/test_doors.py",
        "test_no_secret_is_in_any_byte_that_was_written",
    ),
    (
        "the telemetry of Ray and of MLflow is off",
        "faults/test_doors.py",
        "test_a_sweep_speaks_to_nobody_but_this_machine",
    ),
    (
        "Inception's weights are compared",
        "gancore/metrics/test_inception.py",
        "test_a_file_with_the_first_digits_is_another",
    ),
]


@pytest.mark.parametrize(("claim", "file", "test"), CLAIMS)
def test_every_claim_has_its_test(claim: str, file: str, test: str) -> None:
    assert claim in " ".join(TEXT.split())
    nodes = ast.walk(ast.parse((ROOT / "tests" / file).read_text()))
    assert any(isinstance(n, ast.FunctionDef) and n.name.startswith(test) for n in nodes)


def test_every_row_of_a_table_is_a_claim_with_a_test() -> None:
    rows = re.findall(r"^\| (?!from a stranger|who |---)(.*) \|$", TEXT, re.M)
    assert len(rows) == 13
    for row in rows:
        assert any(claim in row for claim, _, _ in CLAIMS), row


def test_every_command_and_option_named_exists() -> None:
    named = set(re.findall(r"`gansweep (\w+)", TEXT))
    assert {"plan", "list", "show", "compare", "ui"} <= named <= set(main.commands)
    running = {"sample", "evaluate", "export", "sync", "resume"}
    assert {word for word in re.findall(r"`(\w+)`", TEXT) if word in main.commands} == running

    def options(command: click.Command) -> set[str]:
        return {flag for parameter in command.params for flag in parameter.opts}

    flags = set(re.findall(r"`(--[a-z-]+)`", TEXT))
    assert flags == {"--trust", "--insecure"}
    for command in running:
        assert "--trust" in options(main.commands[command])
    for command in ("run", "resume"):
        assert "--insecure" in options(main.commands[command])
    variables = {p.envvar for c in main.commands.values() for p in c.params}
    assert "GANSWEEP_TRACKING_URI" in variables
