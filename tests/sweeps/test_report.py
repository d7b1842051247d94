"""What a report says of sweeps: its numbers, its tables, and what it refuses."""

import csv
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from played_sweep import place_of, play
from scripted_sweep import LOSSES, analysis_of, script_sweep

from sweeps import planfile
from sweeps.errors import UserError
from sweeps.journal import Journal, journal_folder
from sweeps.report import report_data, shown_trials, write_report
from sweeps.report.data import MOST_POINTS
from sweeps.report.page import embed
from sweeps.report.protocol import repetition
from sweeps.report.tables import as_csv, latex, league_latex
from sweeps.report.wall import hang_wall
from sweeps.results import Results

EVIL = ("<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return script_sweep(tmp_path_factory.mktemp("made") / "scripted", grids=3)


@pytest.fixture
def results(place: Path) -> Results:
    return Results.read(place)


def altered(place: Path, old: str, new: str) -> None:
    """Puts a text for another into every record of a journal; the checksums become true."""
    from sweeps import journal

    for file in journal_folder(place).glob("*.jsonl"):
        records = journal.read(place, file.stem)
        file.unlink()
        with journal.Journal(place, file.stem) as log:
            for record in records:
                told = json.loads(json.dumps(record).replace(old, new))
                log.append(told.pop("kind"), **{k: v for k, v in told.items() if k != "time_ms"})


def test_arms_have_the_numbers_of_their_confirmed_seeds(results: Results) -> None:
    data = report_data([results])
    assert [arm["label"] for arm in data["arms"]] == list(LOSSES)
    for arm in data["arms"]:
        explored = results.of_phase("explore")[arm["label"]]
        confirmed = results.of_phase("confirm")[arm["label"]]
        middle = sorted(r.best for r in confirmed if r.best is not None)[1]
        every = [r.best for r in (*explored, *confirmed) if r.best is not None]
        assert (arm["n"], arm["confirmed"], arm["trials"]) == (3, 3, 7)
        assert arm["median"] == pytest.approx(middle, rel=1e-5)
        assert arm["best"] == pytest.approx(min(every), rel=1e-5)
        assert arm["epochs"] == sum(r.epoch for r in (*explored, *confirmed))
        assert arm["hours"] == pytest.approx(arm["epochs"] * 22 / 3600, rel=1e-5)
    assert [arm["rank"] for arm in data["arms"]] == [1, 2, 3, 4, 5]


def test_without_statistics_nobody_is_called_the_winner(results: Results) -> None:
    data = report_data([results])
    assert "no test was made" in data["answer"]
    assert not data["analysed"]
    assert (data["pairs"], data["budget"], data["importance"]) == ([], {}, [])


def test_statistics_join_the_arms_by_label(results: Results) -> None:
    told = analysis_of(LOSSES[::-1])
    data = report_data([results], told)
    by_label = {arm["label"]: arm for arm in data["arms"]}
    assert by_label["least_squares"]["iqm"] == 5.0
    assert (by_label["least_squares"]["rank"], by_label["nonsaturating"]["rank"]) == (1, 5)
    assert data["answer"] == told["answer"]


def test_every_value_has_a_form_in_json(results: Results) -> None:
    import numpy as np

    told = analysis_of(LOSSES)
    told["importance"] = [{"path": "lr", "share": np.float64(0.5)}]
    told["budget"] = {"hinge": {"trials": {"x": np.arange(2), "mean": np.array([1.0, math.nan])}}}
    data = json.loads(embed(report_data([results], told)))
    assert data["importance"][0]["share"] == 0.5
    assert data["budget"]["hinge"]["trials"] == {"x": [0, 1], "mean": [1.0, None]}
    diverged = next(t for t in data["trials"] if t["verdict"] == "diverged")
    assert diverged["scores"][-1] is None


def test_a_long_curve_keeps_its_best_and_its_last(tmp_path: Path) -> None:
    place = script_sweep(tmp_path / "long", losses=("hinge",), each=1, seeds=1, epochs=1001)
    one = Results.read(place)
    for trial in report_data([one])["trials"]:
        result = one.trials[trial["uid"]]
        assert len(trial["epochs"]) <= MOST_POINTS + 1
        assert trial["epochs"][-1] == result.epoch
        assert trial["best_epoch"] in trial["epochs"]


def test_arms_of_one_name_are_told_apart_by_their_sweep(results: Results, tmp_path: Path) -> None:
    other = Results.read(script_sweep(tmp_path / "second", losses=("hinge", "minimax"), each=1))
    labels = list(dict.fromkeys(t.label for t in shown_trials([results, other])))
    assert labels == [
        "nonsaturating",
        "scripted/hinge",
        "wasserstein_gp",
        "scripted/minimax",
        "least_squares",
        "second/hinge",
        "second/minimax",
    ]
    assert report_data([results, other])["title"] == "scripted and second"


def test_the_best_of_a_search_does_not_rank_above_fresh_seeds(
    results: Results, tmp_path: Path
) -> None:
    place = script_sweep(tmp_path / "second", losses=("hinge",), each=9, seeds=0)
    arms = report_data([results, Results.read(place)])["arms"]
    (searched,) = (arm for arm in arms if not arm["confirmed"])
    assert searched["best"] < max(arm["median"] for arm in arms if arm["confirmed"])
    assert searched["rank"] == len(arms)


def test_folders_of_one_name_are_told_apart(results: Results, tmp_path: Path) -> None:
    other = Results.read(script_sweep(tmp_path / "more" / "scripted", losses=("hinge",), each=1))
    names = {t.sweep for t in shown_trials([results, other])}
    assert len(names) == 2
    assert "more/scripted" in names


def test_unlike_passports_are_refused_with_what_differs(results: Results, tmp_path: Path) -> None:
    place = script_sweep(tmp_path / "second", losses=("hinge",), each=1)
    altered(place, '"generated": 1000', '"generated": 5000')
    altered(place, "d16e57", "ffffff")
    with pytest.raises(UserError, match=r"unlike protocols.*generated 1000 or 5000"):
        report_data([results, Results.read(place)])


def test_unlike_protocols_in_one_sweep_are_ranked_apart(tmp_path: Path) -> None:
    place = script_sweep(tmp_path / "two", losses=("hinge", "minimax"), each=1)
    for uid in ("000-hinge", "002-hinge", "004-hinge", "006-hinge"):
        file = journal_folder(place) / f"{uid}.jsonl"
        if file.exists():
            file.rename(file.with_suffix(".kept"))
    altered(place, "d16e57", "ffffff")
    for file in journal_folder(place).glob("*.kept"):
        file.rename(file.with_suffix(".jsonl"))
    data = report_data([Results.read(place)])
    assert [arm["protocol"] for arm in data["arms"]] == [0, 1]
    assert data["answer"].count("has the best") == 2


def test_labels_cannot_leave_their_place(place: Path, tmp_path: Path) -> None:
    copy = tmp_path / "evil"
    copy.mkdir()
    for name in ("journal", "plan.json"):
        (copy / name).symlink_to(place / name)
    text = json.dumps(planfile.read(place))
    for loss, evil in zip(("hinge", "minimax"), EVIL, strict=True):
        text = text.replace(f'"arm": "{loss}"', f'"arm": {json.dumps(evil)}')
    (copy / "plan.json").unlink()
    planfile.write(copy, json.loads(text))
    (copy / "sweep.yaml").write_text(f"# {EVIL[1]}")
    told = analysis_of(EVIL)
    page = write_report([Results.read(copy)], tmp_path / "report", told).read_text()
    assert not any(evil in page for evil in EVIL)
    assert page.count("<script") == page.count("</script>") == 4
    block = re.search(r'<script type="application/json" id="data">(.*?)</script>', page)
    assert block is not None
    assert {arm["label"] for arm in json.loads(block[1])["arms"]} >= set(EVIL)


def test_the_page_allows_itself_no_request(results: Results, tmp_path: Path) -> None:
    page = write_report([results], tmp_path / "report").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy[1]
    assert not re.search(r"""(src|href)=["'](https?:)?//""", page)


def test_equal_sweeps_have_equal_pages(results: Results, tmp_path: Path) -> None:
    one, two = (write_report([results], tmp_path / name).read_bytes() for name in "ab")
    assert one == two


def test_the_wall_shows_the_best_of_each_arm_first_and_every_verdict(results: Results) -> None:
    trials = shown_trials([results])
    wall = hang_wall(trials, budget=60_000)
    first = [trials[tile["trial"]] for tile in wall["tiles"][: len(LOSSES)]]
    for shown in first:
        own = [t.result for t in trials if t.label == shown.label]
        assert shown.result is min(own, key=lambda r: r.rank_key)
    assert len({shown.label for shown in first}) == len(LOSSES)
    pairs = {(t.label, t.result.verdict, t.result.state) for t in trials}
    hung = [trials[tile["trial"]] for tile in wall["tiles"]]
    assert {(t.label, t.result.verdict, t.result.state) for t in hung} == pairs


@pytest.mark.parametrize("budget", [3_000, 60_000, 300_000])
def test_the_wall_keeps_its_budget(results: Results, budget: int) -> None:
    wall = hang_wall(shown_trials([results]), budget)
    sizes = [len(frame) for tile in wall["tiles"] for frame in tile["frames"].values()]
    assert 0 < sum(sizes) <= budget
    assert f"{len(wall['tiles'])} of 35 trials and {len(sizes)} of 105 grids" in wall["note"]


def test_pictures_of_a_wall_are_cut_out_of_the_grid_pixel_by_pixel(tmp_path: Path) -> None:
    import base64
    import io

    import numpy as np
    from PIL import Image

    place = script_sweep(tmp_path / "cells", losses=("hinge",), each=1, seeds=0, grids=1)
    grid = next(place.glob("trials/*/samples/epoch-0000.png"))
    cells = np.arange(64, dtype=np.uint8).reshape(8, 8) * 3
    grid.unlink()
    Image.fromarray(cells.repeat(64, 0).repeat(64, 1)).save(grid)
    plain = hang_wall(shown_trials([Results.read(place)]), budget=10**6)
    address = plain["tiles"][0]["frames"][0]
    stored = base64.b64decode(address.removeprefix("data:image/webp;base64,"))
    with Image.open(io.BytesIO(stored)) as picture:
        assert picture.size == (256, 256)
        middles = np.asarray(picture.convert("L"), dtype=int)[16::32, 16::32]
    assert np.abs(middles - cells).max() <= 6


def test_the_tables_beside_the_page_hold_its_numbers(results: Results, tmp_path: Path) -> None:
    page = write_report([results], tmp_path, analysis_of(LOSSES))
    names = {"league.csv", "league.tex", "pairs.csv", "pairs.tex", "trials.csv", page.name}
    names.add("pictures")
    assert {file.name for file in tmp_path.iterdir()} == names
    with (tmp_path / "league.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["label"], float(row["iqm"])) for row in rows][:2] == [
        ("nonsaturating", 5.0),
        ("hinge", 6.5),
    ]
    with (tmp_path / "trials.csv").open() as stream:
        trials = {row["uid"]: row for row in csv.DictReader(stream)}
    assert trials.keys() == results.trials.keys()
    assert trials["000-nonsaturating"]["generator.lr"] != ""
    assert trials["000-nonsaturating"]["loss.gp_weight"] == ""


def test_tables_keep_names_from_acting() -> None:
    assert as_csv(["a"], [["=1+1"], [-1.5]]) == "a\n'=1+1\n-1.5\n"
    assert latex(r"r_1 & 5% {x}\y") == r"r\_1 \& 5\% \{x\}\textbackslash{}y"


def test_the_league_in_latex(results: Results) -> None:
    arms: list[dict[str, Any]] = sorted(
        report_data([results], analysis_of(LOSSES))["arms"], key=lambda arm: arm["rank"]
    )
    lines = league_latex(arms, "fid1k", 0.95).splitlines()
    assert lines[:2] == [r"\begin{tabular}{lrrrrrr}", r"\toprule"]
    assert lines[2] == r"arm & $n$ & best fid1k & median & IQM & 95\% interval & epochs \\"
    assert lines[4].startswith(r"\textbf{nonsaturating} & 3 & ")
    assert r"[4.6, 5.4]" in lines[4]
    assert r"wasserstein\_gp & 3" in lines[6]


@pytest.mark.parametrize(
    ("changes", "device", "told"),
    [
        ({}, "cpu", "bit for bit on the same machine, "),
        (
            {"schedule": {"name": "asha"}},
            "cpu",
            "; who is stopped may hang on who reports first; elsewhere as another seed",
        ),
        (
            {"schedule": "asha", "resources": {"concurrent": 1}},
            "cpu",
            "threads; elsewhere as another seed would",
        ),
        ({}, "cuda:1", "up to rounding, which training amplifies, on the same"),
    ],
)
def test_a_report_promises_of_another_run_what_can_be_kept(
    tmp_path: Path, changes: dict[str, Any], device: str, told: str
) -> None:
    place = place_of(tmp_path, **changes)
    with Journal(place, "000-hinge") as log:
        log.append("start", trial="000-hinge", attempt=1, device=device)
    assert told in repetition(Results.read(place))


def test_where_seeds_were_compared_a_report_says_how_far_apart_they_are(tmp_path: Path) -> None:
    place = place_of(tmp_path)
    play(place)
    told = r"between the seeds of an arm: [0-9.]+ fid500\)$"
    assert re.search(told, repetition(Results.read(place)))
