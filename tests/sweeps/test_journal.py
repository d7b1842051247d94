"""The journal: nothing lost, nothing half read."""

import math
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps import journal
from sweeps.journal import Journal


def test_what_is_appended_is_read_back_bit_for_bit(tmp_path: Path) -> None:
    values = {"fid5k": 0.1 + 0.2, "loss": -0.0, "bad": math.nan, "worse": math.inf, "ünï": 1e-300}
    with Journal(tmp_path, "000-hinge") as log:
        written = [log.append("epoch", trial="000-hinge", epoch=e, values=values) for e in (1, 2)]
    read = journal.read(tmp_path, "000-hinge")
    assert repr(read) == repr(written)  # repr, since NaN is unequal to itself
    assert math.copysign(1, read[0]["values"]["loss"]) == -1


def test_a_line_torn_at_any_byte_is_not_a_record_and_the_next_writer_cuts_it(
    tmp_path: Path,
) -> None:
    with Journal(tmp_path, "t") as log:
        log.append("epoch", trial="t", epoch=1, values={})
        whole = log.path.stat().st_size
        log.append("epoch", trial="t", epoch=2, values={"fid": 1.5})
    content = log.path.read_bytes()
    for cut in range(whole, len(content)):
        log.path.write_bytes(content[:cut])
        assert [r["epoch"] for r in journal.read(tmp_path, "t")] == [1]
        with Journal(tmp_path, "t") as again:
            again.append("epoch", trial="t", epoch=3, values={})
        assert [r["epoch"] for r in journal.read(tmp_path, "t")] == [1, 3]


@settings(max_examples=60, deadline=None)
@given(position=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_an_altered_byte_never_alters_a_record(position: int, flip: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        with Journal(Path(folder), "t") as log:
            written = [log.append("epoch", trial="t", epoch=e, values={"f": e / 3}) for e in (1, 2)]
        content = bytearray(log.path.read_bytes())
        content[position % len(content)] ^= flip
        log.path.write_bytes(content)
        for record in journal.read(Path(folder), "t"):
            assert record in written


def test_reading_goes_on_from_an_offset_and_waits_for_a_whole_line(tmp_path: Path) -> None:
    with Journal(tmp_path, "t") as log:
        log.append("start", trial="t")
        first = journal.read_from(log.path)
        assert [r["kind"] for r in first.records] == ["start"]
        with log.path.open("ab") as stream:
            stream.write(b'{"kind":"epo')
        assert journal.read_from(log.path, first.mark) == journal.Reading([], first.mark)


def test_the_drivers_file_is_not_a_trials(tmp_path: Path) -> None:
    for writer in ("b", "a", journal.DRIVER):
        Journal(tmp_path, writer).close()
    assert journal.writers(tmp_path) == ["a", "b"]
    assert journal.read(tmp_path, "never") == []
