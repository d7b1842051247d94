"""Storage in a bucket: who may write what, what is fetched when, and what is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import buckets
import pytest
from written_sweep import SWEEP

from gancore.drafts import machine as machine_name
from sweeps import SweepSpec, bucket, folder, journal, make_plan
from sweeps.bucket import access, client, lease, pieces
from sweeps.bucket.address import Address
from sweeps.bucket.client import Bucket, Conflict
from sweeps.bucket.copy import Copy
from sweeps.bucket.lease import Lease
from sweeps.bucket.pieces import Pieces, Written
from sweeps.doctor.checks import storage
from sweeps.doctor.facts import Evidence, Facts, Machine, Storage
from sweeps.doctor.finding import WRONG
from sweeps.doctor.meeting import attend, heard, meeting
from sweeps.errors import Busy, DamagedSweep, EnvironmentTrouble, Superseded, Unwritable, UserError
from sweeps.journal import Journal
from sweeps.plan import Plan
from sweeps.results import Results

RUNS = f"s3://{buckets.NAME}/runs"
NOBODY = rf"^{RUNS} does not answer at http://127.0.0.1:9 \([^:]*\): look at the network and the"
"""What is wrong and the remedy are parted by the first colon and space: `doctor` relies on it."""


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[buckets.Server]:
    with buckets.served() as server:
        yield server


@pytest.fixture
def there(request: pytest.FixtureRequest) -> Bucket:
    """A storage of this test's own."""
    return Bucket(Address.of(f"s3://{buckets.NAME}/{request.node.name}"))


def machine(tmp_path: Path, name: str, storage: Bucket) -> Path:
    """The folder that stands for a storage on a machine with this name."""
    with patch.dict("os.environ", GANSWEEP_CACHE=str(tmp_path / name)):
        return bucket.folder_of(str(storage.address))


def built(storage: Path, name: str = "digits") -> Path:
    with folder.built(storage, name) as draft:
        (draft / "sweep.yaml").write_text("# Which loss wins?\n")
        make_plan(SweepSpec.of(SWEEP)).write(draft)
    return storage / name


@pytest.mark.parametrize(
    "given",
    [
        "s3://",
        "s3://UPPER/runs",
        "s3:///runs",
        "s3://a/b",
        "s3://bucket/../x",
        "S3://b-b/x",
        "s3:/b-b/x",
        "gs://b-b/x",
    ],
)
def test_what_is_no_address_is_refused_in_one_line(given: str) -> None:
    with pytest.raises(UserError, match=r"^--storage: .*"):
        bucket.folder_of(given)


def test_a_storage_is_spoken_of_by_its_address() -> None:
    storage = bucket.folder_of(f"{RUNS}//deep/")
    assert storage == bucket.folder_of(f"{RUNS}/deep")
    assert bucket.spoken(storage) == f"{RUNS}/deep"
    assert bucket.spoken(storage / "digits") == f"{RUNS}/deep/digits"
    assert folder.resume_command(storage / "digits") == (
        f"gansweep resume digits --storage {RUNS}/deep"
    )


class TestWrites:
    def test_a_write_says_what_it_takes_to_be_there(self, there: Bucket) -> None:
        first = there.put("a", b"1", over=None)
        with pytest.raises(Conflict):
            there.put("a", b"2", over=None)
        second = there.put("a", b"2", over=first)
        with pytest.raises(Conflict):
            there.put("a", b"3", over=first)
        with pytest.raises(Conflict):
            there.put("never there", b"3", over=second)
        assert there.get("a") == (b"2", second)

    def test_a_write_whose_answer_was_lost_has_been_done(self, there: Bucket) -> None:
        real = client._client().put_object
        lost = [ConnectionResetError("the wire was cut")]

        def put(**asked: Any) -> Any:
            done = real(**asked)
            if lost:
                raise lost.pop()
            return done

        there.entries("")  # It has answered before, so that it is asked again.
        with patch.object(client._client(), "put_object", put), patch.object(client, "_PAUSES", ()):
            etag = there.put("a", b"1", over=None)
        assert not lost
        assert there.get("a") == (b"1", etag)

    @pytest.mark.parametrize(
        ("storage", "told"),
        [
            ("s3://no-such-bucket/runs", "is in a bucket that is not there: make it first"),
        ],
    )
    def test_what_is_wrong_is_told_in_one_line(self, storage: str, told: str) -> None:
        nowhere = Bucket(Address.of(storage))
        for ask in (
            lambda: nowhere.put("a", b"", over=None),
            lambda: nowhere.put("a", b""),
            lambda: nowhere.get("a"),
            lambda: nowhere.entries(""),
        ):
            with pytest.raises(Unwritable) as caught:
                ask()
            assert str(caught.value) == f"{storage} {told}"

    def test_a_server_that_nobody_ever_reached_is_not_waited_for(self) -> None:
        client._client.cache_clear()
        with patch.dict("os.environ", AWS_ENDPOINT_URL="http://127.0.0.1:9"):
            try:
                with pytest.raises(Unwritable, match=NOBODY):
                    Bucket(Address.of(RUNS)).get("a")
            finally:
                client._client.cache_clear()

    def test_no_credentials(self) -> None:
        names = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
        own = {key: value for key, value in os.environ.items() if key not in names}
        client._client.cache_clear()
        with patch.dict("os.environ", {**own, "AWS_SHARED_CREDENTIALS_FILE": "/x"}, clear=True):
            try:
                with pytest.raises(Unwritable, match=r"asks for credentials, and .* has none: set"):
                    Bucket(Address.of(RUNS)).get("a")
            finally:
                client._client.cache_clear()

    def test_a_server_that_ignores_conditions_is_refused(
        self, there: Bucket, tmp_path: Path
    ) -> None:
        storage = machine(tmp_path, "one", there)
        access.check(storage)
        real = client._client().put_object

        def put(**asked: Any) -> Any:
            return real(**{k: v for k, v in asked.items() if k not in ("IfNoneMatch", "IfMatch")})

        with (
            patch.object(client._client(), "put_object", put),
            pytest.raises(EnvironmentTrouble, match="ignores `If-None-Match`"),
        ):
            access.check(storage)
        assert not there.entries("")

    def test_without_boto3_it_is_said_what_to_install(self) -> None:
        client._client.cache_clear()
        with (
            patch.dict(sys.modules, boto3=None),
            pytest.raises(EnvironmentTrouble, match=r"pip install 'gansweep\[s3\]'"),
        ):
            client._client()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two lines fill a piece."""
    monkeypatch.setattr(pieces, "PIECE_BYTES", 8)


@pytest.mark.usefixtures("small")
class TestPieces:
    def test_together_they_are_the_journal(self, there: Bucket) -> None:
        log = journal_of(there)
        assert log.open() == b""
        for number in range(5):
            log.append(b"%03d\n" % number)
        keys = [key.partition("-")[0] for key in there.entries("")]
        assert sorted(keys) == ["a.jsonl", "sealed/0001", "sealed/0002"]
        assert journal_of(there).open() == b"000\n001\n002\n003\n004\n"

    @pytest.mark.parametrize("after", [0, 1, 2, 3])
    @pytest.mark.parametrize("before", [0, 1, 2, 3, 4])
    def test_who_was_thought_dead_writes_nothing_more(
        self, there: Bucket, before: int, after: int
    ) -> None:
        dead, alive = journal_of(there), journal_of(there)
        dead.open()
        for _ in range(before):
            dead.append(b"old\n")
        alive.open()
        alive.append(b"new\n")
        with pytest.raises(Superseded):
            dead.check()
        with pytest.raises(Superseded):
            dead.append(b"OLD\n")
        for _ in range(after):
            alive.check()
            alive.append(b"new\n")
        assert journal_of(there).open() == b"old\n" * before + b"new\n" * (after + 1)

    def test_pieces_that_were_read_are_not_read_again(self, there: Bucket) -> None:
        log = journal_of(there)
        log.open()
        old = b""
        for number in range(7):
            log.append(b"%03d\n" % number)
            found = there.get("a.jsonl")
            assert found is not None
            with patch.object(there, "get", wraps=there.get) as get:
                old = pieces.all_lines(there, Written.of(found[0]), "sealed/", old)
            assert get.call_count == 0
        assert old == b"".join(b"%03d\n" % number for number in range(7))

    def test_a_damaged_piece_is_told(self, there: Bucket) -> None:
        log = journal_of(there)
        log.open()
        for _ in range(3):
            log.append(b"old\n")
        (key,) = there.entries("sealed/")
        there.put(key, b"other")
        with pytest.raises(DamagedSweep, match=rf"{key}: a piece of the journal is not as it was"):
            journal_of(there).open()
        there.delete([key])
        with pytest.raises(DamagedSweep, match=rf"{key}: a piece of the journal is missing"):
            journal_of(there).open()


def journal_of(there: Bucket) -> Pieces:
    return Pieces(there, "a.jsonl", "sealed/")


class TestJournal:
    def test_records_outlive_the_machine(self, there: Bucket, tmp_path: Path) -> None:
        place = built(machine(tmp_path, "one", there))
        with folder.owned(place), Journal(place, "000-hinge") as log:
            log.append("epoch", epoch=1, values={})
        other = machine(tmp_path, "two", there) / "digits"
        with Journal(other, "000-hinge") as log:
            assert [record["epoch"] for record in log.records()] == [1]
            assert log.append("epoch", epoch=2, values={})["seq"] == 2

    def test_a_line_that_was_never_sent_is_no_record(self, there: Bucket, tmp_path: Path) -> None:
        place = built(machine(tmp_path, "one", there))
        with Journal(place, "000-hinge") as log:
            log.append("epoch", epoch=1, values={})
            with log.path.open("a") as stream:  # As if killed between its own disk and the bucket.
                stream.write(log.path.read_text())
        with Journal(place, "000-hinge") as log:
            assert len(log.records()) == 1

    def test_what_the_bucket_does_not_take_is_not_here_either(
        self, there: Bucket, tmp_path: Path
    ) -> None:
        place = built(machine(tmp_path, "one", there))
        with Journal(place, "000-hinge") as log:
            with (
                patch.object(Bucket, "put", side_effect=Unwritable("it is away")),
                pytest.raises(Unwritable, match="it is away"),
            ):
                log.append("epoch", epoch=1, values={})
            assert log.path.read_bytes() == b""
            log.append("epoch", epoch=1, values={})
        assert [r["seq"] for r in journal.read(place, "000-hinge")] == [1]

    def test_two_attempts_on_two_machines(self, there: Bucket, tmp_path: Path) -> None:
        place = built(machine(tmp_path, "one", there))
        other = machine(tmp_path, "two", there) / "digits"
        with Journal(place, "000-hinge") as dead, Journal(other, "000-hinge") as alive:
            dead.append("epoch", epoch=1, values={})
            with pytest.raises(Superseded):
                alive.append("epoch", epoch=1, values={})
        with Journal(other, "000-hinge") as alive:
            assert len(alive.records()) == 1


class TestCopy:
    def test_a_sweep_is_one_when_all_of_it_is_there(self, there: Bucket, tmp_path: Path) -> None:
        place = built(machine(tmp_path, "one", there))
        other = machine(tmp_path, "two", there) / "digits"
        written: list[str] = []
        real = os.replace

        def replace(source: Any, target: Any) -> None:
            written.append(Path(target).name)
            real(source, target)

        with patch("os.replace", replace):
            bucket.of(other).pull()
        assert [name for name in written if name != "copy.json"] == ["sweep.yaml", "plan.json"]
        assert Plan.read(other) == Plan.read(place)

    def test_two_machines_cannot_make_the_same_sweep(self, there: Bucket, tmp_path: Path) -> None:
        one, two = (machine(tmp_path, name, there) for name in ("one", "two"))
        with (
            pytest.raises(Busy, match=f"'digits' exists in {there.address}: go on with"),
            folder.built(two, "digits") as draft,
        ):
            _ = built(one), make_plan(SweepSpec.of(SWEEP)).write(draft)
        assert folder.every(two) == [two / "digits"]

    def test_checkpoints_and_pictures_wait_until_they_are_asked_for(
        self, there: Bucket, tmp_path: Path
    ) -> None:
        place = built(machine(tmp_path, "one", there))
        trial = place / "trials" / "000-hinge"
        for name in ("checkpoints/epoch-0001.pt", "checkpoints/epoch-0001.json", "best.json"):
            (trial / name).parent.mkdir(parents=True, exist_ok=True)
            (trial / name).write_text(name)
        bucket.of(place).mirror(trial)
        other = machine(tmp_path, "two", there) / "digits"
        bucket.of(other).pull()
        copied = other / "trials" / "000-hinge"
        assert (copied / "best.json").is_file()
        assert not (copied / "checkpoints" / "epoch-0001.pt").exists()
        file = bucket.of(other).here(copied / "checkpoints" / "epoch-0001.pt")
        assert file.read_text() == "checkpoints/epoch-0001.pt"
        (trial / "checkpoints" / "epoch-0001.pt").write_text("trained again")
        bucket.of(place).mirror(trial)
        assert bucket.of(other).here(file).read_text() == "trained again"

    def test_what_says_that_something_is_there_comes_last_and_goes_first(
        self, there: Bucket, tmp_path: Path
    ) -> None:
        place = built(machine(tmp_path, "one", there))
        trial = place / "trials" / "000-hinge"
        done: list[str] = []
        put, delete = Bucket.put, Bucket.delete

        def putting(self: Bucket, key: str, *given: Any, **named: Any) -> str:
            done.append(f"+{Path(key).name}")
            return put(self, key, *given, **named)

        def deleting(self: Bucket, keys: Any) -> None:
            keys = list(keys)
            done.extend(f"-{Path(key).name}" for key in keys)
            delete(self, keys)

        trial.mkdir(parents=True)
        with patch.object(Bucket, "put", putting), patch.object(Bucket, "delete", deleting):
            for epoch in (1, 2):
                for suffix in (".json", ".pt"):
                    (trial / f"epoch-{epoch}{suffix}").write_text(str(epoch))
            bucket.of(place).mirror(trial)
            bucket.of(place).mirror(trial)  # Nothing has changed: nothing is sent.
            for suffix in (".json", ".pt"):
                (trial / f"epoch-1{suffix}").unlink()
            bucket.of(place).mirror(trial)
        assert done == [
            *("+epoch-1.pt", "+epoch-2.pt", "+epoch-1.json", "+epoch-2.json"),
            *("-epoch-1.json", "-epoch-1.pt"),
        ]

    def test_what_is_deleted_there_is_deleted_here(self, there: Bucket, tmp_path: Path) -> None:
        place = built(machine(tmp_path, "one", there))
        other = machine(tmp_path, "two", there) / "digits"
        (place / "results.csv").write_text("trial\n")
        bucket.of(place).push(place / "results.csv")
        bucket.of(other).pull()
        (other / "tracking.json").write_text("{}")
        there.delete(["digits/results.csv"])
        bucket.of(other).pull()
        assert not (other / "results.csv").exists()
        assert (other / "tracking.json").exists()  # It never came from there.
        there.delete(there.entries(""))
        bucket.of(other).pull()
        assert not other.exists()

    def test_no_object_leads_out_of_the_copy(self, there: Bucket, tmp_path: Path) -> None:
        built(machine(tmp_path, "one", there))
        absolute = tmp_path / "evil.txt"
        for name in ("../../evil.txt", "report/../../evil.txt", f"/{absolute}", str(absolute)):
            there.put(f"digits/{name}", b"evil")
        other = machine(tmp_path, "two", there)
        bucket.of(other / "digits").pull()
        assert not list(tmp_path.rglob("evil.txt"))

    def test_a_drivers_word_never_comes_before_the_trials(
        self, there: Bucket, tmp_path: Path
    ) -> None:
        """A look that saw the driver's `stop` must have seen what the trial had reported."""
        place = built(machine(tmp_path, "one", there))
        node = machine(tmp_path, "node", there) / "digits"
        uid = "000-hinge"
        with folder.owned(place), Journal(place, journal.DRIVER) as driver:
            driver.append("sweep", state="running")
            results = Results.read(place)
            with Journal(node, uid) as trial:
                trial.append("start", trial=uid, attempt=1)
                trial.append("epoch", trial=uid, attempt=1, epoch=1, values={"fid500": 3.0})
            driver.append("stop", trial=uid, epoch=1, reason="asha")
            results.refresh()
            assert (results.trials[uid].state, results.trials[uid].epoch) == ("stopped", 1)

    def test_a_look_at_what_is_known_reads_and_fetches_nothing(
        self, there: Bucket, tmp_path: Path
    ) -> None:
        place = built(machine(tmp_path, "one", there))
        for uid in ("000-hinge", "001-minimax"):
            with Journal(place, uid) as trial:
                trial.append("start", trial=uid, attempt=1)
        other = bucket.of(machine(tmp_path, "two", there) / "digits")
        other.pull()
        with (
            patch.object(Bucket, "get", side_effect=AssertionError("fetched again")),
            patch.object(Path, "read_bytes", side_effect=AssertionError("read again")),
        ):
            other.pull_journals()
            again = Copy(there, other.place)  # Another process remembers too.
            again.pull_journals()

    def test_a_look_that_fails_takes_nothing_in(self, there: Bucket, tmp_path: Path) -> None:
        place = built(machine(tmp_path, "one", there))
        with folder.owned(place), Journal(place, journal.DRIVER) as driver:
            results = Results.read(place)
            driver.append("sweep", state="running")
            with (
                patch.object(Bucket, "entries", side_effect=Unwritable("it is away")),
                pytest.raises(Unwritable),
            ):
                results.refresh()
            assert results.state == "planned"
            results.refresh()
            assert results.state == "running"


class TestLease:
    def test_a_sweep_is_run_from_one_machine(self, there: Bucket, tmp_path: Path) -> None:
        place = built(machine(tmp_path, "one", there))
        other = machine(tmp_path, "two", there) / "digits"
        bucket.of(other).pull()
        with folder.owned(place):
            assert folder.is_owned(other)
            with (
                pytest.raises(Busy, match=rf"'digits' is being run by process {os.getpid()} on "),
                folder.owned(other),
            ):
                raise AssertionError
        assert not folder.is_owned(other)
        with folder.owned(other):
            assert folder.is_owned(place)

    def test_who_died_on_this_machine_has_it_no_more(self, there: Bucket) -> None:
        dead = subprocess.Popen([sys.executable, "-c", ""])
        dead.wait()
        word = {"pid": dead.pid, "host": "here", "machine": machine_name(), "since": "now"}
        there.put("digits/lease.json", json.dumps(word).encode())
        mine = Lease(there, "digits/lease.json")
        assert not mine.is_alive()
        with mine.taken():
            assert mine.is_alive()
        assert not there.entries("")

    def test_elsewhere_only_time_tells(
        self, there: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        word = {"pid": 1, "host": "elsewhere", "since": "now"}
        there.put("digits/lease.json", json.dumps(word).encode())
        mine = Lease(there, "digits/lease.json")
        with pytest.raises(Busy, match=r"process 1 on elsewhere .*free in (60|59) s"), mine.taken():
            raise AssertionError
        monkeypatch.setattr(lease, "STALE_SECONDS", -1)
        with mine.taken():
            pass

    def test_it_is_renewed_and_never_taken_back(
        self, there: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lease, "RENEW_SECONDS", 0)
        mine = Lease(there, "digits/lease.json")
        with mine.taken():
            before = there.get("digits/lease.json")
            mine.renew()
            assert there.get("digits/lease.json") != before
            there.put("digits/lease.json", b"{}")
            mine.renew()
        assert there.get("digits/lease.json") is not None


class TestDoctor:
    def test_machines_leave_word_in_the_bucket(self, there: Bucket, tmp_path: Path) -> None:
        with meeting(machine(tmp_path, "one", there)) as place:
            assert attend(bucket.spoken(place), "b") == Storage(sees=True)
            assert heard(bucket.spoken(place), "b")
            assert not heard(bucket.spoken(place), "c")
            assert not attend(f"{there.address}/.doctor-other", "b").sees
        assert not [key for key in there.entries("") if "driver" in key]

    def test_a_node_that_is_refused_is_told_with_the_remedy(
        self, there: Bucket, tmp_path: Path
    ) -> None:
        with (
            meeting(machine(tmp_path, "one", there)) as place,
            patch.object(client._client(), "put_object", side_effect=denied("PutObject")),
        ):
            seen = attend(bucket.spoken(place), "b")
        facts = Facts(time=0, versions={}, storage=seen)
        here = Machine("this machine", Facts(time=0, versions={}, storage=Storage(sees=True)))
        found = storage(Evidence(str(there.address), here, (Machine("node b", facts),)))
        (line,) = [finding.line for finding in found if finding.level == WRONG]
        assert line == (
            f"node b cannot use the storage, for {there.address} refuses (AccessDenied): "
            "its credentials must list, read, write and delete there"
        )


def denied(operation: str) -> Exception:
    from botocore.exceptions import ClientError

    return ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, operation)
