"""YAML as people expect it, and hostile YAML."""

import json
import math
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.yamlfile import Problem, Problems, SpecError, parse_yaml, read_yaml


def value_of(text: str) -> object:
    document = parse_yaml(f"value: {text}\n", "q.yaml")
    return document.value["value"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4), ("2e-4", 2e-4), ("1e5", 1e5), ("1.e3", 1e3), ("1.5E+3", 1500.0),
        (".5", 0.5), ("-1e-05", -1e-5), ("1", 1), ("-7", -7), ("+3", 3), ("010", 10),
        (".inf", math.inf), ("-.inf", -math.inf), ("true", True), ("False", False),
        ("", None), ("~", None), ("null", None), ("on", "on"), ("off", "off"), ("yes", "yes"),
        ("no", "no"), ("y", "y"), ("none", "none"), ("'1e-4'", "1e-4"), ('"true"', "true"),
        ("1_000", "1_000"), ("1:30", "1:30"), ("2024-01-01", "2024-01-01"), ("0x10", "0x10"),
        ("e5", "e5"), (".", "."), ("1e", "1e"), ("<<", "<<"), ("=", "="),
    ],
)  # fmt: skip
def test_a_plain_value_is_what_it_looks_like(text: str, value: object) -> None:
    read = value_of(text)
    assert read == value
    assert type(read) is type(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_that_json_writes_reads_equal(number: float) -> None:
    read = value_of(json.dumps(number))
    assert isinstance(read, float)
    assert read == number


@settings(max_examples=50)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=20,
    )
)
def test_json_is_read_as_json_reads_it(value: object) -> None:
    # Backslash escapes throughout: JSON may hold control characters bare, YAML may not.
    text = json.dumps({"value": value}, ensure_ascii=True)
    if "\\ud" in text:
        return  # Half of a surrogate pair is no character in YAML.
    assert parse_yaml(text, "q.yaml").value == {"value": value}


@pytest.mark.parametrize("key", ["on", "yes", "1e-4", "null", "1", "true", "~"])
def test_a_key_is_the_text_that_stands_there(key: str) -> None:
    assert parse_yaml(f"{key}: 1\n", "q.yaml").value == {key: 1}


def test_every_value_knows_its_line() -> None:
    text = (
        "# first\nbase:\n  data: {name: x,\n    size: 3}\nlist:\n- 1\n-\n  a: 2\nflow: [1,\n  2]\n"
    )
    document = parse_yaml(text, "q.yaml")
    lines = {
        ("base",): 2, ("base", "data"): 3, ("base", "data", "name"): 3,
        ("base", "data", "size"): 4, ("list", 0): 6, ("list", 1, "a"): 8, ("flow", 1): 10,
    }  # fmt: skip
    assert {where: document.line_of(where) for where in lines} == lines


def test_what_has_no_line_has_that_of_the_nearest_thing_around_it() -> None:
    document = parse_yaml("base:\n  data:\n    name: x\n", "q.yaml")
    assert document.line_of(("base", "data", "resolution", 0)) == 2
    assert document.line_of(("objective", "metric")) == 1


def test_an_anchor_is_read_where_it_is_used() -> None:
    document = parse_yaml("a: &lr [1e-4, 1e-3]\nb: *lr\n", "q.yaml")
    assert document.value == {"a": [1e-4, 1e-3], "b": [1e-4, 1e-3]}
    assert document.line_of(("b", 1)) == 2


def test_a_byte_order_mark_and_windows_lines_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "q.yaml"
    path.write_bytes(b"\xef\xbb\xbfbase:\r\n  batch: 1\r\nlist: [\r\n  2]\r\n")
    document = read_yaml(path)
    assert document.value == {"base": {"batch": 1}, "list": [2]}
    assert document.text.startswith("base")
    assert document.line_of(("list", 0)) == 4


def test_a_key_given_twice_is_told_with_both_lines_and_the_rest_is_read() -> None:
    document = parse_yaml("a:\n  b: 1\n  c: 2\n  b: 3\nd: 4\na: 5\n", "q.yaml")
    assert document.value == {"a": {"b": 1, "c": 2}, "d": 4}
    assert document.problems == (
        Problem(4, "a.b", "given twice (first on line 2)"),
        Problem(6, "a", "given twice (first on line 1)"),
    )


BILLION_LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [*{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)

UNREADABLE = {
    b"": "q.yaml:1: the file is empty",
    b"# only a comment\n": "q.yaml:2: the file is empty",
    b"- a\n- b\n": "q.yaml:1: expected a mapping of sections, got a list",
    b"\nhinge\n": "q.yaml:2: expected a mapping of sections, got a single value",
    b"a: 1\n---\nb: 2\n": "q.yaml:2: a second document begins here; a sweep file is one",
    b"a:\n\tb: 1\n": "q.yaml:2: indented with a tab: use spaces",
    b"a:\n  b: 1\n\tc: 1\n": "q.yaml:3: indented with a tab: use spaces",
    b"a: b: c\n": "q.yaml:1: not YAML: mapping values are not allowed here (column 5)",
    b"a: 1\nb: \xff\xfe\n": "q.yaml:2: not UTF-8 text (byte 0xff)",
    "a: 1\n".encode("utf-16"): "q.yaml:1: not UTF-8 text (byte 0xff)",
    b"a: 1\nb: \x00\n": r"q.yaml:2: character '\x00' is not allowed in YAML",
    b"a: &a [*a]\n": "q.yaml:1: *a stands inside of what it stands for",
    b"a: 1\nb: *nowhere\n": "q.yaml:2: *nowhere stands for nothing: there is no &nowhere above it",
    b"? [a, b]\n: 1\n": "q.yaml:1: a key must be a text",
    b"a: 1\nb: !!python/object/apply:os.system ['touch pwned']\n":
        "q.yaml:2: tag !!python/object/apply:os.system is not allowed: write plain data",
    b"a: !!float 1\n": "q.yaml:1: tag !!float is not allowed: write plain data",
    b"!!python/name:os.system : 1\n": "q.yaml:1: a key must be a text",
    b"a: " + b"9" * 5000: "q.yaml:1: a number of 5000 digits",
    b"a: " + b"[" * 3000: "q.yaml:1: nested more than 50 deep",
    b"a:\n- b: " + b"[" * 60: "q.yaml:2: nested more than 50 deep",
    BILLION_LAUGHS.encode(): "q.yaml:5: more than 10,000 values",
    b"a:\n" + b"- 1\n" * 10_001: "q.yaml:9999: more than 10,000 values",
    b"#" * 1_000_001: "q.yaml: larger than 1,000,000 bytes",
    b"a: 1\na: 2\nb: [\n": "q.yaml:2: a: given twice (first on line 1)\nq.yaml:4: not YAML: ...",
}  # fmt: skip


@pytest.mark.parametrize("content", UNREADABLE, ids=[str(c[:20]) for c in UNREADABLE])
def test_what_cannot_be_read_is_one_clear_line(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("q.yaml").write_bytes(content)
    with pytest.raises(SpecError) as caught:
        read_yaml(Path("q.yaml"))
    told, expected = str(caught.value), UNREADABLE[content]
    assert told == expected or (expected.endswith("...") and told.startswith(expected[:-3]))
    assert not Path("pwned").exists()


def test_a_bomb_takes_little_memory() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(SpecError):
            parse_yaml(BILLION_LAUGHS, "q.yaml")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


def test_a_file_that_is_not_there_and_a_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"nowhere\.yaml: no such file or directory"):
        read_yaml(tmp_path / "nowhere.yaml")
    with pytest.raises(SpecError, match="is a directory"):
        read_yaml(tmp_path)


def test_problems_are_sorted_by_line_and_told_once() -> None:
    problems = Problems(parse_yaml("a: 1\nb: 2\n", "q.yaml"))
    problems.add(("b",), "b", "second")
    problems.add(("a",), "a", "first")
    problems.add(("b",), "b", "second")
    with pytest.raises(SpecError, match=r"^q.yaml:1: a: first\nq.yaml:2: b: second$"):
        problems.refuse()
