"""The descriptions in MLflow say the answer first, lead where they say, and run no markup."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from scripted_sweep import script_sweep
from written_sweep import COMPLETED, DIVERGED, FAILED, LEFT, STOPPED, client_of, runs_of

from sweeps import journal, tracking
from sweeps.compare.analysis import comparison
from sweeps.results import Results
from sweeps.tracking import notes
from sweeps.tracking.memory import Sent

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")

LINK = re.compile(r"(?<!\\)\[((?:[^\]\\]|\\.)*)\]\((#[^)\s]*)\)")


def test_links_lead_to_runs_and_to_tables_sorted_best_first(sweep: Path) -> None:
    tracking.sync(sweep, tracking.default_uri(sweep.parent))
    client = client_of(sweep)
    runs = runs_of(client)
    experiment = client.get_experiment_by_name("gansweep").experiment_id
    ids = {name: run.info.run_id for name, run in runs.items()}

    def links(name: str) -> dict[str, str]:
        return dict(LINK.findall(runs[name].data.tags[notes.TAG]))

    def page(run: str) -> str:
        return f"#/experiments/{experiment}/runs/{run}?workflowType=machine_learning"

    def listed(address: str) -> list[str]:
        place, _, query = address.partition("?")
        assert place == f"#/experiments/{experiment}/runs"
        asked = {key: value for key, (value,) in parse_qs(query).items()}
        order = f"{asked['orderByKey']} {'ASC' if asked['orderByAsc'] == 'true' else 'DESC'}"
        found = client.search_runs([experiment], asked["searchFilter"], order_by=[order])
        return [run.info.run_name for run in found]

    of_sweep, of_trial = links("digits"), links(DIVERGED)
    assert of_sweep[COMPLETED] == page(ids[COMPLETED])
    assert listed(of_sweep["all trials, best first"]) == [
        *(COMPLETED, LEFT, STOPPED, DIVERGED),
        FAILED,  # It has no score.
    ]
    assert of_trial["digits"] == page(ids["digits"])
    assert listed(of_trial["trials of this arm, best first"]) == [COMPLETED, DIVERGED, FAILED]


def test_while_nothing_is_confirmed_the_note_tells_how_far_it_is_and_names_no_winner(
    sweep: Path,
) -> None:
    tracking.sync(sweep, tracking.default_uri(sweep.parent))
    runs = runs_of(client_of(sweep))
    _, _, answer, *_ = runs["digits"].data.tags[notes.TAG].splitlines()
    assert answer == (
        "**interrupted: 4 of 6 trials have ended, 8 of 18 epochs are trained; hinge leads the "
        "search with fid500 0.3, and which arm is better only fresh seeds can tell**"
    )
    told = runs[STOPPED].data.tags[notes.TAG]
    assert told.splitlines()[2].startswith(
        "**minimax**: best fid500 7.5 at epoch 2; stopped, at epoch 2 of 3, "
        "verdict healthy: asha: rung 2."
    )
    rate = runs[STOPPED].data.params["generator.lr"]
    assert f"Given: generator.lr {rate}, seed " in told


def test_a_finished_sweep_answers_with_the_verdict_and_its_arms_by_their_seeds(
    tmp_path: Path,
) -> None:
    place = script_sweep(tmp_path / "losses", losses=["hinge", "nonsaturating"], each=2, seeds=3)
    (place / "sweep.yaml").write_text("# <img src=x> *loud* | [go](javascript:x)\n```\n~~~\n")
    results = Results.read(place)
    sent = {uid: Sent(f"run-{uid}") for uid in (journal.DRIVER, *results.trials)}
    pages = notes.Pages("7", "abc", sent)
    compared = comparison([results])
    assert compared is not None
    note = notes.of_sweep(results, "finished", pages)
    assert note.splitlines()[2] == f"**{notes.plain(compared.sentence)}**"
    assert "report" not in dict(LINK.findall(note))  # None has been written.
    rows = [line for line in note.splitlines() if line.startswith("| ")]
    assert [row.split("&ensp;")[0] for row in rows[2:]] == ["| nonsaturating", "| hinge"]
    assert all(row.endswith("| 3 |") for row in rows[2:])
    assert r"Asked: &lt;img src=x&gt; \*loud\* \| \[go\](javascript:x)" in note
    assert note.endswith("\n\n    ```\n    ~~~")
    again = next(r for r in results.trials.values() if r.trial.phase == "confirm")
    told = dict(LINK.findall(notes.of_trial(results, again, "completed", pages)))
    assert told[str(again.trial.repeats)].startswith(
        f"#/experiments/7/runs/run-{again.trial.repeats}?"
    )
    (place / "report").mkdir()
    (place / "report" / "index.html").touch()
    led = dict(LINK.findall(notes.of_sweep(results, "finished", pages)))
    where = f"#/experiments/7/runs/run-{journal.DRIVER}/artifacts/report/index.html?"
    assert led["report"].startswith(where)
