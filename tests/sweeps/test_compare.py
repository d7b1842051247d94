"""`gansweep compare`: one sweep, nothing confirmed, and sweeps on several data sets."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image
from scripted_sweep import script_sweep

from sweeps import SweepSpec, journal, make_plan
from sweeps.cli import main
from sweeps.confirm import confirmations
from sweeps.journal import Journal
from sweeps.results import Results

ARMS = ("hinge", "minimax", "nonsaturating")


def confirmed(place: Path, data: str, scores: dict[str, Sequence[float]]) -> Path:
    """A sweep of some losses on a data set, with these scores of its confirmed seeds."""
    content: dict[str, Any] = {
        "name": place.name,
        "base": {"data": data, "model": "mlp", "epochs": 1},
        "scientific": {"loss.name": list(scores)},
        "nuisance": {"generator.lr": [1e-4]},
        "search": {"trials_each": 1},
        "objective": {"samples": 500},
        "confirm": {"top": 1, "seeds": 3},
    }
    place.mkdir(parents=True)
    plan = make_plan(SweepSpec.of(content))
    plan.write(place)
    (place / "sweep.yaml").write_text(json.dumps(content))
    for trial in plan.trials:
        end(place, trial.uid, 5.0)
    left = {arm: list(values) for arm, values in scores.items()}
    for trial in list(confirmations(Results.read(place))):
        with Journal(place, journal.DRIVER) as log:
            log.append("join", trial=vars(trial))
        end(place, trial.uid, left[trial.arm].pop(0))
    return place


def end(place: Path, uid: str, score: float) -> None:
    with Journal(place, uid) as log:
        log.append("epoch", trial=uid, epoch=1, values={"fid500": score})
        log.append("end", trial=uid, epoch=1, state="completed", verdict="healthy", reason="all")


def compare(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["compare", *arguments])


def test_the_verdict_and_the_report_of_one_sweep(tmp_path: Path) -> None:
    told = {"hinge": (1.0, 1.1, 1.2), "minimax": (9.0, 9.1, 9.2), "nonsaturating": (9.1, 9.2, 9.3)}
    place = confirmed(tmp_path / "one", "digits", told)
    shown = compare("one", "--storage", str(tmp_path))
    assert shown.exit_code == 0, shown.output
    flat = " ".join(shown.output.split())
    assert "hinge beats minimax and nonsaturating on digits: fid500 1.1 [0.9, 1.3]" in flat
    assert "3 seeds each, corrected p < 0.001" in flat
    assert (place / "report" / "index.html").is_file()
    assert (place / "report" / "pictures" / "answer.png").is_file()
    answer = json.loads(compare("one", "--json", "--storage", str(tmp_path)).output)
    first = answer["arms"][0]
    assert first["estimate"] == "1.1 [0.9, 1.3]"
    assert first["mean"] == pytest.approx(1.1)
    assert first["mean_low"] < first["mean"] < first["mean_high"]
    assert answer["answer"].startswith("hinge beats minimax and nonsaturating on digits")


def test_without_confirmation_there_is_no_winner(tmp_path: Path) -> None:
    script_sweep(tmp_path / "found", each=2, seeds=0)
    shown = compare("found", "--storage", str(tmp_path))
    assert shown.exit_code == 0, shown.output
    assert "nothing was confirmed" in shown.output
    assert "confirm: {top: 1, seeds: 5}" in " ".join(shown.output.split())


def test_a_sweep_without_scores_is_refused(tmp_path: Path) -> None:
    content = {"name": "bare", "base": {"data": "digits"}, "nuisance": {"generator.lr": [1e-4]}}
    (tmp_path / "bare").mkdir()
    make_plan(SweepSpec.of(content)).write(tmp_path / "bare")
    shown = compare("bare", "--storage", str(tmp_path))
    assert (shown.exit_code, "has no scores to compare yet" in shown.output) == (2, True)


@pytest.fixture
def three(tmp_path: Path) -> list[str]:
    """One question on three data sets whose scores are of unlike sizes, hinge always first."""
    for size, (name, data) in enumerate(
        {"a": "digits", "b": "mnist5k", "c": "fashion_mnist"}.items(), 1
    ):
        told = {
            arm: [10.0**size * (place + seed / 50) for seed in range(3)]
            for place, arm in enumerate(ARMS, 1)
        }
        confirmed(tmp_path / name, data, told)
    return ["a", "b", "c", "--storage", str(tmp_path)]


def test_sweeps_on_several_data_sets_are_compared_by_ranks(
    three: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "over all"
    shown = compare(*three, "--out", str(out))
    assert shown.exit_code == 0, shown.output
    rows = [line.split()[:2] for line in shown.output.splitlines()]
    wanted = [["hinge", "1.00"], ["minimax", "2.00"], ["nonsaturating", "3.00"]]
    assert [row for row in rows if row in wanted] == wanted
    assert (out / "critical_difference.svg").read_text().startswith("<svg")
    told = json.loads(compare(*three, "--json", "--out", str(out)).output)
    assert told["ranks"] == [1.0, 2.0, 3.0]
    assert told["data_sets"] == ["digits", "mnist5k", "fashion_mnist"]
    assert told["places"] == [[1.0, 2.0, 3.0]] * 3
    names = ["critical_difference.svg", "pictures/ranks.png", "ranks.csv", "ranks.tex"]
    assert told["files"] == [str(out / name) for name in names]
    with Image.open(out / names[1]) as picture:
        assert picture.size == (2560, 1440)
    with (out / "ranks.csv").open() as stream:
        table = list(csv.DictReader(stream))
    assert [row["arm"] for row in table] == list(ARMS)
    assert [float(row["rank mnist5k"]) for row in table] == [1, 2, 3]
    assert [float(row["mean mnist5k"]) for row in table] == pytest.approx([102, 202, 302])
    assert float(table[0]["relative_low"]) < float(table[0]["relative"]) < 1
    lines = (out / "ranks.tex").read_text().splitlines()
    assert lines[2].startswith(r"arm & digits & mnist5k & fashion\_mnist & average rank")
    assert lines[4].startswith(r"hinge & \textbf{10.2 (1)} & \textbf{102 (1)} & \textbf{1020 (1)}")
    assert lines[5].startswith("minimax & 20.2 (2) & 202 (2)")


def test_two_arms_on_several_data_sets_are_compared_by_signed_ranks(tmp_path: Path) -> None:
    """Three data sets cannot tell two arms apart, whatever the scores: that is said."""
    for size, data in enumerate(("digits", "mnist5k", "fashion_mnist"), 1):
        told = {"hinge": [2.0 * size] * 3, "minimax": [10.0**size] * 3}
        confirmed(tmp_path / data, data, told)
    names = ["digits", "mnist5k", "fashion_mnist", "--storage", str(tmp_path)]
    shown = compare(*names, "--out", str(tmp_path / "over all"))
    assert shown.exit_code == 0, shown.output
    flat = " ".join(shown.output.split())
    assert "no verdict: hinge is better than minimax on 3 of 3 data sets, but 3 data sets" in flat
    assert "p is 0.25 or more, and 0.05 takes 6 data sets" in flat
    assert "digits 2 10 +133.3 % 1" in flat
    assert (tmp_path / "over all" / "signed_ranks.svg").read_text().startswith("<svg")
    told = json.loads(compare(*names, "--json", "--out", str(tmp_path / "over all")).output)
    assert (told["arms"], told["p"], told["better"]) == (["hinge", "minimax"], 0.25, 6.0)
    assert told["diagram"].endswith("signed_ranks.svg")


def test_ranks_need_confirmed_arms_on_every_data_set(three: list[str], tmp_path: Path) -> None:
    content = {
        "name": "d",
        "base": {"data": "mnist", "model": "mlp", "epochs": 1},
        "nuisance": {"generator.lr": [1e-4]},
        "objective": {"samples": 500},
    }
    plan = make_plan(SweepSpec.of(content))
    (tmp_path / "d").mkdir()
    plan.write(tmp_path / "d")
    end(tmp_path / "d", plan.trials[0].uid, 1.0)
    shown = compare("d", *three)
    assert (shown.exit_code, "give the sweeps the same arms" in shown.output) == (2, True)
