"""Arms over several data sets: ranks and signed ranks, against Demsar's tables and SciPy."""

import json
import math
from collections.abc import Sequence
from itertools import product
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy import stats

from sweeps.compare.diagram import critical_difference_svg
from sweeps.compare.differences import differences_svg
from sweeps.compare.ranks import (
    critical_difference,
    friedman,
    nemenyi_quantile,
    not_separable,
    rank,
)
from sweeps.compare.signed import signed_ranks


def test_the_quantiles_are_demsars_table_5() -> None:
    table = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]
    assert [nemenyi_quantile(k) for k in range(2, 11)] == pytest.approx(table, abs=1e-3)
    assert [nemenyi_quantile(k, 0.1) for k in (2, 3)] == pytest.approx([1.645, 2.052], abs=1e-3)


def test_differences_and_groups_are_those_of_demsars_example() -> None:
    """Four variants of C4.5 on 14 data sets (Demsar 2006, 3.2.4): all alike at 0.05; at 0.1 the
    plain one is worse than the first two, and the third cannot be placed."""
    ranks = [1.964, 2.000, 2.893, 3.143]
    five, ten = critical_difference(4, 14), critical_difference(4, 14, 0.1)
    assert (five, ten) == pytest.approx((1.25, 1.12), abs=0.005)
    assert not_separable(ranks, five) == [(0, 4)]
    assert not_separable(ranks, ten) == [(0, 3), (2, 4)]


def test_friedmans_and_iman_and_davenports_tests_are_those_of_the_formulas() -> None:
    """Demsar 2006, equations 3 and 4, from the ranks."""
    means = np.random.default_rng(2).normal(np.linspace(0, 1.5, 4), size=(7, 4))
    ranks = stats.rankdata(means, axis=1).mean(axis=0)
    chi = 12 * 7 / (4 * 5) * (np.sum(ranks**2) - 4 * 25 / 4)
    f = 6 * chi / (7 * 3 - chi)
    assert friedman(means) == pytest.approx((stats.chi2.sf(chi, 3), stats.f.sf(f, 3, 18)))


def test_groups_are_the_longest_runs_within_the_difference() -> None:
    assert not_separable([1.0, 1.5, 3.0, 3.2, 6.0], 1.6) == [(0, 2), (1, 3), (2, 4)]
    assert not_separable([1.0, 1.5, 2.0, 6.0], 1.6) == [(0, 3)]
    assert not_separable([1.0, 3.0], 1.0) == []
    assert not_separable([1.0, 2.0, 3.0], math.inf) == [(0, 3)]


def test_arms_that_lack_a_data_set_take_no_part_and_ties_share_ranks() -> None:
    scores = {
        f"set {i}": {"a": [1.0, 1.1], "b": [3.0, 3.1], "c": [3.1, 3.0], "d": [9.0, 9.2]}
        for i in range(9)
    }
    scores["set 0"]["late"] = [0.1]
    found = rank(scores, "min")
    assert found is not None
    assert found.left_out == ("late",)
    assert found.ranks == (1.0, 2.5, 2.5, 4.0)
    assert found.iman_davenport_p < 1e-6
    assert found.groups == (("a", "b", "c"), ("b", "c", "d"))
    assert "is separable from d but not from b and c" in found.sentence
    assert found.relative[0] is not None
    assert found.relative[0].value == pytest.approx(1.05 / ((1.05 + 3.05 + 3.05 + 9.1) / 4))
    assert rank({"one": scores["set 1"]}, "min") is None
    assert rank({k: {"a": [1.0], "b": [2.0]} for k in "xyz"}, "min") is None


def test_a_goal_of_max_turns_the_ranks_round() -> None:
    scores = {k: {"a": [1.0], "b": [2.0], "c": [3.0]} for k in "xyz"}
    least, most = rank(scores, "min"), rank(scores, "max")
    assert least is not None
    assert most is not None
    assert (least.arms, most.arms) == (("a", "b", "c"), ("c", "b", "a"))


def test_ranks_beyond_the_difference_count_only_where_friedman_sees_one() -> None:
    """Orders of three arms, as often as given: ranks 0.87 apart where 0.86 would do, p = 0.051."""
    orders = {(1, 2, 3): 8, (1, 3, 2): 1, (2, 1, 3): 2, (2, 3, 1): 2, (3, 2, 1): 2}
    rows = [order for order, times in orders.items() for _ in range(times)]
    scores = {
        f"set {i}": {arm: [float(v)] for arm, v in zip("abc", row, strict=True)}
        for i, row in enumerate(rows)
    }
    found = rank(scores, "min")
    assert found is not None
    assert found.ranks[-1] - found.ranks[0] > found.critical_difference
    assert 0.05 < found.iman_davenport_p < 0.06
    assert found.groups == (("a", "b", "c"),)
    assert found.sentence.startswith("no winner")


def test_nothing_is_separable_where_friedman_sees_nothing() -> None:
    found = rank({k: {"a": [1.0], "b": [1.0], "c": [1.0]} for k in "xy"}, "min")
    assert found is not None
    assert found.friedman_p == 1
    assert found.groups == (("a", "b", "c"),)
    json.dumps(found.as_json(), allow_nan=False)


DEMSAR = {
    "C4.5": [763, 599, 954, 628, 882, 936, 661, 583, 775, 1000, 940, 619, 972, 957],
    "C4.5+m": [768, 591, 971, 661, 888, 931, 668, 583, 838, 1000, 962, 666, 981, 978],
}
"""Areas under the curve of two classifiers on 14 data sets, times 1000 (Demsar 2006, table 2)."""


def on_sets(first: Sequence[float], second: Sequence[float]) -> dict[str, dict[str, list[float]]]:
    return {
        f"set {i}": {"a": [float(x)], "b": [float(y)]}
        for i, (x, y) in enumerate(zip(first, second, strict=True))
    }


def test_signed_ranks_are_those_of_demsars_example() -> None:
    """Sums of 93 and 12. Below 0 no difference is relative, as none is there."""
    below = ([x - 2000 for x in areas] for areas in DEMSAR.values())
    found = signed_ranks(on_sets(*below), "max")
    assert found is not None
    assert found.arms == ("b", "a")
    assert (found.better, found.worse, found.relative) == (93, 12, False)
    ranks = [3.5, 7, 9, 12, 5, 3.5, 6, 1.5, 14, 1.5, 11, 13, 8, 10]
    assert list(found.ranks) == ranks
    signed = [r for r in ranks if r != 1.5]  # Two data sets do not tell the two apart.
    sums = [
        sum(r for r, up in zip(signed, ups, strict=True) if up) for ups in product(*[(0, 1)] * 12)
    ]
    rare = sum(s <= 10.5 or s >= sum(signed) - 10.5 for s in sums) / 2**12
    assert found.p == pytest.approx(rare)
    assert found.exact
    assert found.sentence.startswith("b beats a over 14 data sets: it is better on 10 of 14")


@pytest.mark.parametrize("sets", range(2, 9))
def test_no_p_reaches_the_line_below_six_data_sets_and_the_sentence_says_so(sets: int) -> None:
    """All signs alike are the rarest there is: 2 of 2^n."""
    found = signed_ranks(on_sets([1] * sets, [2 + i for i in range(sets)]), "min")
    assert found is not None
    assert (found.p, found.smallest_p) == (2 / 2**sets, 2 / 2**sets)
    if sets < 6:
        assert found.sentence.startswith(f"no verdict: a is better than b on {sets} of {sets}")
        assert "0.05 takes 6 data sets" in found.sentence
    else:
        assert found.sentence.startswith(f"a beats b over {sets} data sets")


def test_differences_count_by_their_share_so_that_no_data_set_drowns_the_others() -> None:
    mnist, cifar = [6.8, 9.0, 7.0, 8.0, 6.0, 7.5], [60.0, 70.0, 55.0, 58.5, 71.0, 65.0]
    first = [*mnist, *(x * 1.01 for x in cifar)]
    second = [*(x * 1.3 for x in mnist), *cifar]
    found = signed_ranks(on_sets(first, second), "min")
    assert found is not None
    assert (found.arms, found.better, found.worse) == (("a", "b"), 57, 21)  # 9.5 and 3.5 six times
    plain = stats.wilcoxon(
        [(y - x) / (x + y) for x, y in zip(first, second, strict=True)], method="approx"
    )
    assert found.p == pytest.approx(plain.pvalue, abs=0.05)
    assert found.sentence.startswith("no winner: a is better than b on 6 of 12 data sets")
    larger = signed_ranks(on_sets([x * 9 for x in first], [y * 9 for y in second]), "min")
    assert larger is not None
    assert (larger.ranks, larger.p) == (found.ranks, found.p)


def test_unshared_ranks_have_scipys_exact_p_and_a_goal_of_max_turns_them_round() -> None:
    rng = np.random.default_rng(4)
    first, second = rng.uniform(5, 9, 17), rng.uniform(5, 9, 17)
    least, most = (signed_ranks(on_sets(first, second), goal) for goal in ("min", "max"))
    assert least is not None
    assert most is not None
    gains = (first - second) / (first + second)
    assert least.p == most.p == stats.wilcoxon(gains, method="exact").pvalue
    assert least.arms == most.arms[::-1]


def test_two_arms_that_are_alike_everywhere_are_not_told_apart() -> None:
    found = signed_ranks(on_sets([3] * 8, [3] * 8), "min")
    assert found is not None
    assert (found.p, found.smallest_p, found.better, found.worse) == (1, 1, 18, 18)
    assert "0 data sets that tell them apart (8 do not)" in found.sentence
    json.dumps(found.as_json(), allow_nan=False)
    three = {"x": {a: [1.0] for a in "abc"}, "y": {a: [2.0] for a in "abc"}}
    assert signed_ranks(three, "min") is None
    assert signed_ranks({"x": {"a": [1.0], "b": [2.0]}}, "min") is None


def test_the_picture_of_differences_is_sound_xml_with_the_greatest_on_top() -> None:
    evil = '<script>alert("x")</script>'
    scores = {"x": {"a": [1.0], evil: [2.0]}, "y&z": {"a": [1.0], evil: [9.0]}}
    found = signed_ranks({**scores, "w": {"a": [4.0], evil: [3.0]}}, "min")
    assert found is not None
    svg = differences_svg(found)
    assert "<script" not in svg
    space = "{http://www.w3.org/2000/svg}"
    root = ElementTree.fromstring(svg)
    names = [t.text for t in root.iter(f"{space}title")]
    bars = [e for e in root.iter(f"{space}line") if e.get("stroke-width") == "9"]
    lengths = [float(e.get("x2") or 0) - float(e.get("x1") or 0) for e in bars]
    assert names[1:] == [evil, "a", "y&z", "x", "w"]
    assert lengths[0] > lengths[1] > 0 > lengths[2]


def test_the_diagram_is_sound_xml_that_shows_ranks_and_groups_and_escapes_labels() -> None:
    evil = '<script>alert("x")</script>'
    scores = {f"set {i}": {"a": [1.0], "b&c": [2.0], evil: [3.0], "d": [4.0]} for i in range(9)}
    found = rank(scores, "min")
    assert found is not None
    svg = critical_difference_svg(found)
    assert "<script" not in svg
    root = ElementTree.fromstring(svg)
    space = "{http://www.w3.org/2000/svg}"
    texts = ["".join(t.itertext()) for t in root.iter(f"{space}text")]
    for arm, place in zip(found.arms, found.ranks, strict=True):
        assert any(arm in t and f"{place:.2f}" in t for t in texts)
    bars = [e for e in root.iter(f"{space}line") if e.get("stroke-width") == "5"]
    assert len(bars) == len(found.groups) == 3
    # The arms rank 1 to 4: each stands under the tick of its number.
    ticks = {t.text: t.get("x") for t in root.iter(f"{space}text") if t.text}
    stems = {e.get("x1") for e in root.iter(f"{space}line") if e.get("stroke-width") == "1"}
    assert {ticks[str(place)] for place in (1, 2, 3, 4)} <= stems
