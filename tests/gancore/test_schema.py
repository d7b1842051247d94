"""What an option takes and how it refuses."""

from typing import Literal

import pytest

from gancore.schema import Count, Momentum, Option, Positive, Refused, unknown


@pytest.mark.parametrize(
    ("annotation", "value", "words"),
    [
        (Positive, -1.0, "expected a number > 0, got -1.0"),
        (Positive, 0, "expected a number > 0, got 0"),
        (Positive, "2e-4", "expected a number > 0, got '2e-4'"),
        (Positive, float("nan"), "expected a number > 0, got nan"),
        (Positive, float("inf"), "expected a number > 0, got inf"),
        (Momentum, 1.0, "expected a number >= 0 and < 1, got 1.0"),
        (Count, 2.0, "expected a whole number >= 1, got 2.0"),
        (Count, True, "expected a whole number >= 1, got true"),
        (bool, 1, "expected true or false, got 1"),
        (str, ["a"], "expected a text, got a list"),
        (Literal["batch", "layer"], "batsh", "unknown value 'batsh' (did you mean 'batch'?)"),
        (Literal[1, 3], 1.0, "unknown value 1.0"),
        (Literal[1, 3], True, "unknown value true"),
        (Count, None, "expected a whole number >= 1, got nothing"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_taken(
    annotation: object, value: object, words: str
) -> None:
    with pytest.raises(Refused) as refused:
        Option.of("option", annotation).parse(value)
    assert str(refused.value).startswith(words)


def test_a_whole_number_passes_for_a_number_and_becomes_one() -> None:
    value = Option.of("lr", Positive).parse(1)
    assert isinstance(value, float)
    assert value == 1.0


def test_nothing_is_a_value_where_the_annotation_says_so() -> None:
    assert Option.of("resolution", Count | None).parse(None) is None
    with pytest.raises(Refused):
        Option.of("resolution", Count | None).parse(0)


def test_a_far_off_name_lists_what_is_known() -> None:
    assert unknown("loss", "zzz", ["hinge", "minimax"]) == (
        "unknown loss 'zzz' (known: hinge, minimax)"
    )
