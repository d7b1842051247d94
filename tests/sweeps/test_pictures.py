"""The report's figures as pictures: that each is one, what it shows, and what it never does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scripted_sweep import LOSSES, analysis_of, script_sweep

from sweeps.compare.diagram import critical_difference_svg
from sweeps.compare.ranks import rank
from sweeps.report import report_data, write_report
from sweeps.report.pictures import PICTURES, write_pictures
from sweeps.report.pictures.budget import spread
from sweeps.report.pictures.gallery import DRAWN, RANKS
from sweeps.report.pictures.slide import COLOURS, SHAPES, even, fold, keep, look, names, number
from sweeps.results import Results

ARMS = LOSSES[:4]
EVIL = ("$x_1$ <b>bold</b>", "_private", r"\alpha {", "a_" * 40 + "$")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    place = tmp_path_factory.mktemp("made") / "scripted"
    return Results.read(script_sweep(place, losses=ARMS, each=12, seeds=5, epochs=12))


@pytest.fixture(scope="module")
def data(results: Results) -> dict[str, Any]:
    told = analysis_of(ARMS)
    for arm in told["arms"]:
        middle = arm["median"]
        arm |= {"mean": middle, "mean_low": middle - 0.3, "mean_high": middle + 0.3}
    return report_data([results], told)


@pytest.fixture
def ours() -> Iterator[None]:
    with look():
        yield


def figure_of(name: str, data: Mapping[str, Any]) -> Any:
    figure = (DRAWN | RANKS)[name](data)
    assert figure is not None
    return figure


def words(figure: Any) -> list[str]:
    """Every text of a figure, in one line each."""
    from matplotlib.text import Text

    return [" ".join(t.get_text().split()) for t in figure.findobj(Text) if t.get_text()]


def test_each_picture_is_a_png_for_a_slide(results: Results, tmp_path: Path) -> None:
    page = write_report([results], tmp_path, analysis_of(ARMS))
    files = sorted((tmp_path / PICTURES).iterdir())
    assert [file.name for file in files] == sorted(f"{name}.png" for name in DRAWN)
    for file in files:
        with Image.open(file) as picture:
            assert (picture.format, picture.size) == ("PNG", (2560, 1440))
            assert picture.info["dpi"] == pytest.approx((200, 200), abs=0.1)
            corners = {
                picture.convert("RGB").getpixel((x, y)) for x in (0, 2559) for y in (0, 1439)
            }
            assert corners == {(255, 255, 255)}
            assert len(set(picture.convert("L").resize((64, 36)).tobytes())) > 16
    assert sum(file.stat().st_size for file in files) < 2_000_000
    block = re.search(r'id="data">(.*?)</script>', page.read_text())
    assert block is not None
    linked = json.loads(block[1])["files"]
    assert [name for name in linked if name.endswith("png")] == [
        f"{PICTURES}/{n}.png" for n in DRAWN
    ]


@pytest.mark.usefixtures("ours")
def test_the_answer_shows_every_confirmed_seed_and_the_interval_of_its_arm(
    data: dict[str, Any],
) -> None:
    (ax,) = figure_of("answer", data).axes
    ranked = sorted(data["arms"], key=lambda arm: arm["rank"])
    assert [t.get_text() for t in ax.get_yticklabels()] == [arm["label"] for arm in ranked]
    assert ax.get_xlabel() == "fid1k (lower is better)"
    marks = [line for line in ax.lines if line.get_marker() != "None"]
    for arm, line, bar in zip(ranked, marks, ax.patches, strict=True):
        index = data["arms"].index(arm)
        own = [t["best"] for t in data["trials"] if (t["arm"], t["phase"]) == (index, "confirm")]
        assert sorted(line.get_xdata()) == sorted(own)
        assert line.get_color() == COLOURS[index]
        ends = (bar.get_x(), bar.get_x() + bar.get_width())
        assert ends == pytest.approx((arm["mean_low"], arm["mean_high"]))
        low, high = ax.get_xlim()
        assert low < min(*own, *ends)
        assert max(*own, *ends) < high


@pytest.mark.usefixtures("ours")
def test_the_budget_has_a_panel_a_unit_with_curves_and_bands(data: dict[str, Any]) -> None:
    trials, epochs = figure_of("budget", data).axes
    for unit, ax in (("trials", trials), ("epochs", epochs)):
        assert ax.get_xlabel().startswith(unit)
        drawn = {tuple(line.get_xydata()[:, 1]) for line in ax.lines}
        assert drawn == {tuple(data["budget"][arm][unit]["mean"]) for arm in ARMS}
        assert len(ax.collections) == len(ARMS)
    assert set(words(epochs)) >= set(ARMS)


@pytest.mark.usefixtures("ours")
def test_curves_end_in_a_mark_where_a_trial_was_stopped_or_fell(data: dict[str, Any]) -> None:
    figure = figure_of("curves", data)
    assert "each arm's best fresh seed in bold" in " ".join(words(figure))
    axes = figure.axes
    assert {ax.get_title(loc="left") for ax in axes} == set(ARMS)
    for ax in axes:
        arm = ARMS.index(ax.get_title(loc="left"))
        own = [t for t in data["trials"] if t["arm"] == arm and t["best"] is not None]
        marks = [line.get_marker() for line in ax.lines]
        assert marks.count("x") == sum(t["state"] == "stopped" for t in own) > 0
        assert marks.count("^") == sum(t["state"] == "diverged" for t in own) > 0
        (bold,) = (line for line in ax.lines if line.get_linewidth() > 3)
        best = min((t for t in own if t["phase"] == "confirm"), key=lambda t: t["best"])
        assert bold.get_ydata()[-1] == best["best"]


@pytest.mark.usefixtures("ours")
def test_bars_have_the_shares_and_are_pale_where_chance_would_do(data: dict[str, Any]) -> None:
    rows = [
        {"path": "generator.lr", "share": 0.7, "p": 0.01},
        {"path": "batch", "share": 0.3, "p": 0.4},
        {"path": "batch", "share": 0.9, "p": 0.2, "arm": "hinge"},
    ]
    figure = figure_of("importance", data | {"importance": rows})
    every, hinge = figure.axes
    assert [(b.get_width(), b.get_alpha()) for b in every.patches] == [(0.7, 1), (0.3, 0.3)]
    assert [(b.get_width(), b.get_alpha()) for b in hinge.patches] == [(0.9, 0.3)]
    assert "generator.lr mattered most" in words(figure)
    doubtful = figure_of("importance", data | {"importance": rows[1:]})
    assert "No hyper-parameter stands out from chance" in words(doubtful)


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize("dimensions", [3, 1])
def test_the_cells_of_the_map_count_every_trial_of_the_search(
    data: dict[str, Any], dimensions: int
) -> None:
    few = data | {"dimensions": data["dimensions"][:dimensions]}
    figure = figure_of("verdicts", few)
    searched = [t for t in data["trials"] if t["phase"] == "explore"]
    told = [re.match(r"(\d+) of (\d+)", t) for ax in figure.axes for t in map(clean, ax.texts)]
    counts = [(int(m[1]), int(m[2])) for m in told if m]
    ill = sum(t["verdict"] in ("diverged", "collapsed") for t in searched)
    assert sum(n for _, n in counts) == len(searched) == 48
    assert sum(k for k, _ in counts) == ill > 0
    shades = {
        round(sum(patch.get_facecolor()[:3]), 6): None for ax in figure.axes for patch in ax.patches
    }
    assert len(shades) > 1
    sound = few | {"trials": [t | {"verdict": "healthy"} for t in data["trials"]]}
    assert DRAWN["verdicts"](sound) is None


@pytest.mark.usefixtures("ours")
def test_a_cell_of_the_map_counts_the_trials_whose_values_lie_in_it(data: dict[str, Any]) -> None:
    paths = [dimension["path"] for dimension in data["dimensions"]]
    picked = [paths.index(path) for path in ("discriminator.lr", "generator.lr")]  # By importance.
    limits = [np.log([data["dimensions"][k][end] for end in ("low", "high")]) for k in picked]
    panels = [ax for ax in figure_of("verdicts", data).axes if ax.get_title(loc="left")]
    assert len(panels) == len(ARMS)
    for ax in panels:
        arm = ARMS.index(ax.get_title(loc="left"))
        own = [t for t in data["trials"] if (t["arm"], t["phase"]) == (arm, "explore")]
        x, y = (  # Values are rounded, which takes the outermost out of the range.
            np.clip(np.log([t["values"][k] for t in own]), *ends)
            for k, ends in zip(picked, limits, strict=True)
        )
        wanted, *_ = np.histogram2d(x, y, bins=3, range=limits)
        found = np.zeros((3, 3))
        for text in ax.texts:
            across, up = text.get_position()
            found[int(across), int(up)] = int(clean(text).split()[2])
        assert found.tolist() == wanted.tolist()


def clean(text: Any) -> str:
    return " ".join(text.get_text().split())


@pytest.mark.parametrize("name", [*DRAWN, *RANKS])
@pytest.mark.usefixtures("ours")
def test_names_are_shown_as_they_are(name: str, data: dict[str, Any], tmp_path: Path) -> None:
    from matplotlib.text import Text

    new = dict(zip(ARMS, EVIL, strict=True))
    told = json.loads(
        json.dumps(data | {"importance": [{"path": EVIL[0], "share": 1.0, "arm": EVIL[1]}]})
    )
    for arm in told["arms"]:
        arm["label"] = new[arm["label"]]
    told["budget"] = {new[label]: curve for label, curve in told["budget"].items()}
    told["answer"] = f"{EVIL[0]} beats {EVIL[1]}: $\\frac$"
    scores = {d: {arm: [float(k), k + 0.1] for k, arm in enumerate(EVIL)} for d in "abcdefg"}
    ranking = rank(scores, "min")
    assert ranking is not None
    figure = figure_of(name, ranking.as_json() if name == "ranks" else told)
    keep(figure, tmp_path / "evil.png")
    assert not any(text.get_parse_math() for text in figure.findobj(Text))
    shown = "".join(words(figure)).replace(" ", "")
    assert EVIL[0].replace(" ", "") in shown
    assert EVIL[1] in shown


def test_what_there_is_nothing_of_is_not_drawn_and_does_not_stay(tmp_path: Path) -> None:
    place = script_sweep(tmp_path / "bare", losses=ARMS[:2], each=1, seeds=0)
    for file in (place / "journal").glob("*"):
        file.unlink()
    stale = tmp_path / "report" / PICTURES / "answer.png"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"of an earlier report")
    assert write_pictures(report_data([Results.read(place)]), tmp_path / "report") == []
    assert not stale.exists()


def test_equal_data_give_equal_bytes_whatever_the_settings_of_this_machine(
    data: dict[str, Any], tmp_path: Path
) -> None:
    import matplotlib

    one = [p.read_bytes() for p in write_pictures(data, tmp_path / "plain")]
    mine = {"text.usetex": True, "figure.facecolor": "black", "font.size": 40.0}
    with matplotlib.rc_context(mine):
        two = [p.read_bytes() for p in write_pictures(data, tmp_path / "styled")]
        assert {key: matplotlib.rcParams[key] for key in mine} == mine
    assert one == two


def test_arms_have_the_colours_of_the_page() -> None:
    style = Path(__file__).parents[2] / "sweeps/report/template/style.css"
    light = style.read_text().split("@media")[0]
    assert tuple(re.findall(r"--c\d: (#\w+)", light)) == COLOURS


def test_names_beside_curves_keep_their_order_and_do_not_overlap() -> None:
    heights = {0: 0.5, 1: 0.51, 2: 0.1, 3: 0.49, 4: 0.56}
    sizes = {0: 0.06, 1: 0.12, 2: 0.06, 3: 0.06, 4: 0.06}
    places = spread(heights, sizes)
    order = sorted(places, key=places.__getitem__)
    assert order == [2, 3, 0, 1, 4]
    assert places[2] == pytest.approx(0.1)
    for low, high in pairwise(order):
        assert places[high] - places[low] >= (sizes[low] + sizes[high]) / 2 - 1e-9


def test_long_names_are_folded_where_one_may_break_them() -> None:
    assert fold("grid,wgan_gp,resnet", 12, 2) == "grid,\nwgan_gp,\u2026"
    assert even("one two three four", 12, 2) == "one two\nthree four"
    assert even("wasserstein_gp,none,\u2026", 20, 2) == "wasserstein_gp,\nnone,\u2026"
    assert (
        even("two beats four/hinge and four/minimax", 24, 2)
        == "two beats four/hinge\nand four/minimax"
    )
    assert fold("abcdefghij", 4, 2) == "abcd\nefg\u2026"
    assert fold("", 4) == ""


def test_what_belongs_together_stays_in_one_line() -> None:
    told = fold("hinge has 3.53 [3.3, 3.7], corrected p < 0.001 or p = 0.04", 12, 9)
    lines = [line.replace("\u00a0", " ") for line in told.split("\n")]
    assert [line for line in lines if "3.3" in line or "p" in line.split()] == [
        "[3.3, 3.7],",
        "p < 0.001 or",
        "p = 0.04",
    ]


def test_arms_whose_names_are_cut_are_still_told_apart() -> None:
    long = [f"{a},norm=batch,{b},adversarial" for a in ("hinge", "minimax") for b in ("r1", "r2")]
    assert names(long, 60) == long
    assert names(long, 14) == [
        "hinge,r1,\u2026",
        "hinge,r2,\u2026",
        "minimax,r1,\u2026",
        "minimax,r2,\u2026",
    ]
    one = [f"{'long' * 9}-{k}" for k in (1, 2)]
    assert len(set(names(one, 14))) == 2
    assert max(map(len, names(one, 14))) == 14


def test_the_diagram_keeps_its_axis_where_names_are_long() -> None:
    arms = [f"{a},norm=batch,{b},adversarial" for a in LOSSES for b in ("none", "r1")]
    scores = {d: {arm: [float(k), k + 0.1] for k, arm in enumerate(arms)} for d in "abcdefg"}
    ranking = rank(scores, "min")
    assert ranking is not None
    drawn = critical_difference_svg(ranking)
    ends = re.search(r'<line x1="([\d.]+)" y1="58.0" x2="([\d.]+)"', drawn)
    assert ends is not None
    assert float(ends[2]) - float(ends[1]) > 200
    shown = re.findall(r"</title>([^<]+)</text>", drawn)
    assert len(set(shown)) == len(shown) == len(arms)
    assert "norm=batch" not in "".join(shown)


@pytest.mark.usefixtures("ours")
def test_a_title_that_is_too_long_is_smaller_and_not_cut(data: dict[str, Any]) -> None:
    answer = f"{', '.join(ARMS * 3)} beat all others: {'no more is said of it here, ' * 12}end"
    shown = words(figure_of("answer", data | {"answer": answer}))
    assert answer.replace(": ", " ", 1) in " ".join(shown)


@pytest.mark.usefixtures("ours")
def test_one_epoch_is_a_mark_and_no_empty_axes(data: dict[str, Any]) -> None:
    trials = [
        t | {"epochs": [1], "scores": [9.0], "state": "completed", "best": 9.0}
        for t in data["trials"]
    ]
    figure = figure_of("curves", data | {"trials": trials})
    for ax in figure.axes:
        assert {line.get_marker() for line in ax.lines} & set(SHAPES)
        low, high = ax.get_xlim()
        assert [tick for tick in ax.get_xticks() if low <= tick <= high] == [1]
    assert not any("stopped" in text or "diverged" in text for text in words(figure))
    point = {"trials": {"x": [1], "mean": [9.0], "low": [None], "high": [None]}}
    assert DRAWN["budget"](data | {"budget": dict.fromkeys(ARMS, point)}) is None


@pytest.mark.usefixtures("ours")
def test_what_stands_out_within_an_arm_alone_is_not_denied(data: dict[str, Any]) -> None:
    rows = [
        {"path": "batch", "share": 0.6, "p": 0.4},
        {"path": "generator.lr", "share": 0.9, "p": 0.01, "arm": "hinge"},
    ]
    shown = words(figure_of("importance", data | {"importance": rows}))
    assert "Over all arms no hyper-parameter stands out from chance" in shown


def test_ticks_are_plain_numbers() -> None:
    told = {
        0.00038: "3.8e-4",
        1e-5: "1e-5",
        0.002: "0.002",
        12000.0: "12,000",
        0.0: "0",
        2e6: "2e6",
    }
    assert {value: number(value) for value in told} == told
