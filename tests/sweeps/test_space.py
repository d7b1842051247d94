"""Draws, grids, and what exists where."""

import math
import subprocess
import sys
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import qmc

from sweeps.space import SCALES, Choice, Dimension, Range, Search, Space, Tie, chance, seed_of

UNIT = st.floats(0, 1, exclude_max=True)


@given(UNIT, UNIT)
def test_equal_steps_of_a_uniform_draw_are_equally_likely(u: float, v: float) -> None:
    draw = Range("uniform", -3, 5).draw
    assert draw(u) - draw(v) == pytest.approx(8 * (u - v), abs=1e-12)


@given(UNIT, UNIT)
def test_a_logarithmic_draw_is_uniform_in_the_logarithm(u: float, v: float) -> None:
    draw = Range("log_uniform", 1e-5, 1e-2).draw
    assert math.log10(draw(u) / draw(v)) == pytest.approx(3 * (u - v), abs=1e-9)


def test_every_whole_number_of_a_range_is_as_likely_as_the_next() -> None:
    draws = [Range("int_uniform", 3, 7).draw(i / 1000) for i in range(1000)]
    assert {n: draws.count(n) for n in draws} == {3: 200, 4: 200, 5: 200, 6: 200, 7: 200}
    assert all(type(n) is int for n in draws)


def test_every_item_of_a_list_is_as_likely_as_the_next() -> None:
    draws = [Choice(("a", "b", "c", "d")).draw(i / 1000) for i in range(1000)]
    assert [draws.count(x) for x in "abcd"] == [250] * 4


@given(st.sampled_from(sorted(SCALES)), st.integers(1, 10**6), st.integers(1, 10**6), UNIT)
def test_no_draw_leaves_its_range(scale: str, low: int, width: int, u: float) -> None:
    low_, high = (
        (low, low + width) if scale == "int_uniform" else (low * 1e-7, (low + width) * 1e-7)
    )
    values = Range(scale, low_, high)
    assert low_ <= values.draw(u) <= high
    assert low_ <= values.draw(math.nextafter(1, 0)) <= high


@pytest.mark.parametrize(
    ("scale", "low", "high", "points", "expected"),
    [
        ("uniform", 0.0, 1.0, 5, [0, 0.25, 0.5, 0.75, 1]),
        ("uniform", 0.0, 1.0, 2, [0, 1]),
        ("log_uniform", 1e-5, 1e-2, 4, [1e-5, 1e-4, 1e-3, 1e-2]),
        ("int_uniform", 1, 4, 4, [1, 2, 3, 4]),
        ("int_uniform", 0, 10, 3, [0, 5, 10]),
    ],
)
def test_a_grid_is_evenly_spaced_on_its_scale_and_has_both_ends(
    scale: str, low: float, high: float, points: int, expected: list[float]
) -> None:
    grid = Range(scale, low, high, points).grid
    assert grid == pytest.approx(expected, rel=1e-12)
    assert (grid[0], grid[-1]) == (low, high)


@given(st.integers(0, 50), st.integers(1, 50), st.data())
def test_a_grid_of_whole_numbers_repeats_none(low: int, width: int, data: st.DataObject) -> None:
    points = data.draw(st.integers(2, width + 1))
    assert len(set(Range("int_uniform", low, low + width, points).grid)) == points


LOSS = Dimension("loss.name", Choice(("wasserstein", "hinge", "minimax")))
RATE = Dimension("generator.lr", Range("log_uniform", 1e-5, 1e-2, 3))
CLIP = Dimension("loss.clip", Range("uniform", 0.0, 1.0, 2), when={"loss.name": ("wasserstein",)})
STEPS = Dimension("discriminator.steps", Choice((1, 5)))
DRAWN = ("random", "sobol", "halton", "tpe")
QUASI = ("sobol", "halton")


@pytest.mark.parametrize("method", DRAWN)
def test_arms_have_the_same_draws_of_what_they_share(method: str) -> None:
    points = list(Space((LOSS,), (RATE, CLIP)).points(Search(method=method, trials_each=4)))
    for draw in range(4):
        rates = {p.varied["generator.lr"] for p in points if p.draw == draw}
        assert len(rates) == 1
    assert len({p.varied["generator.lr"] for p in points}) == 4


def test_the_first_point_of_each_arm_comes_before_the_second_of_any() -> None:
    points = list(Space((LOSS,), (RATE,)).points(Search(trials_each=3)))
    assert [p.draw for p in points] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [p.arm["loss.name"] for p in points[:3]] == ["wasserstein", "hinge", "minimax"]


@pytest.mark.parametrize("method", DRAWN)
def test_more_trials_begin_with_the_same_ones(method: str) -> None:
    space = Space((LOSS,), (RATE, CLIP))
    few, many = (list(space.points(Search(method=method, trials_each=n))) for n in (3, 5))
    assert many[: len(few)] == few


def test_a_dimension_more_leaves_the_draws_of_the_others() -> None:
    one = list(Space((LOSS,), (RATE,)).points(Search()))
    two = list(Space((LOSS,), (STEPS, RATE)).points(Search()))
    assert [p.varied["generator.lr"] for p in one] == [p.varied["generator.lr"] for p in two]


def test_a_conditional_dimension_exists_only_where_its_condition_holds() -> None:
    for method in ("random", "grid", "sobol", "halton", "tpe"):
        for point in Space((LOSS,), (CLIP,)).points(Search(method=method)):
            assert ("loss.clip" in point.varied) == (point.arm["loss.name"] == "wasserstein")


def test_a_condition_may_hang_on_what_base_sets_or_on_another_condition() -> None:
    norm = Dimension("model.norm", Choice(("batch", "none")), when={"model.name": ("dcgan",)})
    rate = Dimension("generator.lr", Choice((1, 2)), when={"model.norm": ("none",)})
    for name, expected in [("dcgan", [("batch",), ("none", 1), ("none", 2)]), ("mlp", [()])]:
        space = Space((), (norm, rate), fixed={"model.name": name})
        points = space.points(Search(method="grid"))
        assert [tuple(p.varied.values()) for p in points] == expected


def test_scientific_dimensions_may_be_conditional() -> None:
    clip = Dimension("loss.clip", Choice((0.1, 1)), when={"loss.name": ("wasserstein",)})
    arms = [tuple(arm.values()) for arm in Space((LOSS, clip), ()).arms()]
    assert arms == [("wasserstein", 0.1), ("wasserstein", 1), ("hinge",), ("minimax",)]


def test_a_grid_takes_every_combination_of_an_arm_once() -> None:
    points = list(Space((LOSS,), (CLIP, STEPS)).points(Search(method="grid")))
    assert len(points) == 2 * 2 + 2 + 2
    assert len({tuple(p.varied.items()) for p in points}) == len(points)
    assert [p.draw for p in points if p.arm["loss.name"] == "wasserstein"] == [0, 1, 2, 3]


def test_the_size_is_known_before_anything_is_unfolded() -> None:
    digits = Choice(tuple(range(10)))
    space = Space((), tuple(Dimension(f"x{i}", digits) for i in range(9)))
    assert space.size(Search(method="grid")) == 10**9
    assert space.size(Search(trials_each=7)) == 7
    assert Space((LOSS,), (RATE,)).size(Search(trials_each=7)) == 21


def test_the_ends_of_an_arm_hold_the_ends_of_every_range() -> None:
    ends = list(Space((), (RATE, STEPS)).ends({}))
    assert ends == [
        {"generator.lr": 1e-5, "discriminator.steps": 1},
        {"generator.lr": 1e-2, "discriminator.steps": 5},
    ]


def test_chances_are_even_and_do_not_depend_on_the_process() -> None:
    drawn = [chance(0, i, "generator.lr") for i in range(4000)]
    assert all(0 <= u < 1 for u in drawn)
    assert sum(drawn) / 4000 == pytest.approx(0.5, abs=0.02)
    assert chance(0, 1, "a") != chance(0, 1, "b") != chance(1, 1, "b")
    assert 0 <= seed_of(0, 0) < 2**31
    assert len({seed_of(s, d) for s in range(9) for d in range(9)}) == 81


@pytest.mark.parametrize("method", [*DRAWN, "grid"])
def test_a_tie_follows_its_dimension_in_every_point_and_is_none_itself(method: str) -> None:
    """It takes no coordinate and makes no grid larger: all else is as it was without it."""
    search = Search(method=method, trials_each=5)
    free = Space((LOSS,), (RATE, CLIP))
    ties = (Tie("discriminator.lr", RATE.path, times=4), Tie("x", LOSS.path), Tie("y", RATE.path))
    tied = Space((LOSS,), (RATE, CLIP), ties=ties)
    assert tied.size(search) == free.size(search)
    for plain, point in zip(free.points(search), tied.points(search), strict=True):
        rate = plain.varied[RATE.path]
        follow = {"discriminator.lr": 4 * rate, "x": plain.varied[LOSS.path], "y": rate}
        assert point == plain._replace(varied={**plain.varied, **follow})
        assert list(point.varied)[-3:] == list(follow)


def test_a_tie_exists_where_its_condition_holds() -> None:
    tie = Tie("discriminator.beta1", CLIP.path, when=CLIP.when)
    for arm in Space((LOSS,), ()).arms():
        for end, clip in zip(Space((LOSS,), (CLIP,), ties=(tie,)).ends(arm), (0, 1), strict=True):
            assert end == (
                arm
                if arm["loss.name"] != "wasserstein"
                else {**arm, **{CLIP.path: clip, tie.path: clip}}
            )


def cube(method: str, count: int, dimensions: int, seed: int = 0) -> list[list[float]]:
    """Draws on the unit cube."""
    space = Space((), tuple(Dimension(f"x{i}", Range("uniform", 0, 1)) for i in range(dimensions)))
    points = space.points(Search(method=method, trials_each=count, seed=seed))
    return [list(point.varied.values()) for point in points]


@pytest.mark.parametrize("count", [5, 12, 32])
@pytest.mark.parametrize("method", QUASI)
def test_quasi_random_points_lie_more_evenly_than_random_ones(method: str, count: int) -> None:
    pairs = [[qmc.discrepancy(cube(m, count, 4, s)) for m in (method, "random")] for s in range(9)]
    assert sum(even < chancy for even, chancy in pairs) >= 8


@pytest.mark.parametrize("seed", range(3))
def test_a_power_of_two_of_sobol_points_has_one_in_every_box_of_two_axes(seed: int) -> None:
    """The first two axes are a (0, 4, 2)-net: every dyadic box of volume 1/16 holds one point."""
    points = cube("sobol", 16, 2, seed)
    for across in (1, 2, 4, 8, 16):
        boxes = {(int(x * across), int(y * 16 / across)) for x, y in points}
        assert boxes == set(product(range(across), range(16 // across)))


@pytest.mark.parametrize(("axis", "parts"), [(0, 8), (1, 9), (2, 25)])
def test_halton_points_fill_the_parts_of_each_axis_in_turn(axis: int, parts: int) -> None:
    """Axis by axis in base 2, 3, 5: as many points in a row as parts, and one in each."""
    points = [point[axis] for point in cube("halton", 4 * parts, 3)]
    for start in range(0, 4 * parts, parts):
        block = points[start : start + parts]
        assert sorted(int(parts * x) for x in block) == list(range(parts))


@pytest.mark.parametrize("method", QUASI)
def test_quasi_random_draws_follow_their_seed_alone(method: str) -> None:
    assert cube(method, 7, 3, seed=1) == cube(method, 7, 3, seed=1)
    assert not set(map(tuple, cube(method, 7, 3, seed=1))) & set(map(tuple, cube(method, 7, 3)))


@pytest.mark.parametrize("method", DRAWN)
def test_the_order_in_a_file_and_conditions_leave_the_draws_of_others(method: str) -> None:
    search = Search(method=method, trials_each=6)
    always = Dimension(CLIP.path, CLIP.values)
    one = [p.varied for p in Space((LOSS,), (RATE, CLIP)).points(search)]
    two = [p.varied for p in Space((LOSS,), (always, RATE)).points(search)]
    for some, every in zip(one, two, strict=True):
        assert some == {path: every[path] for path in some}


@pytest.mark.parametrize("method", DRAWN)
def test_a_search_without_nuisance_dimensions_repeats_its_arms(method: str) -> None:
    points = [p.varied for p in Space((LOSS,), ()).points(Search(method=method, trials_each=2))]
    assert points == [{"loss.name": loss} for loss in ("wasserstein", "hinge", "minimax")] * 2


@pytest.mark.parametrize("method", DRAWN)
def test_far_too_many_draws_are_not_made_before_they_are_refused(method: str) -> None:
    search = Search(method=method, trials_each=10**12)
    space = Space((), (RATE, STEPS))
    assert space.size(search) == 10**12
    assert sum(1 for _ in space.points(search)) == 10_001


def test_only_a_quasi_random_search_waits_for_scipy() -> None:
    code = (
        "import sys\n"
        "from sweeps.space import *\n"
        "space = Space((), (Dimension('x', Range('uniform', 0, 1)),))\n"
        "for method in ('random', 'tpe', 'sobol'):\n"
        "    list(space.points(Search(method=method)))\n"
        "    print('scipy' in sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "False", "True"]
