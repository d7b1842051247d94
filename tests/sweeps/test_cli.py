"""The command line as a person meets it."""

import io
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from scripted_sweep import LOSSES, script_sweep

from gancore.data import DataUnavailable
from gancore.systems.adversarial import Adversarial
from sweeps import planfile
from sweeps.cli import main
from sweeps.console import Console
from sweeps.results import Results
from sweeps.terminal import print_end

SWEEP = """
base:
  data: digits
  model: {name: mlp, width: 16}
  latent: 8
  batch: 128
  epochs: 2
scientific:
  loss.name: [nonsaturating, hinge]
nuisance:
  generator.lr: {log_uniform: [1e-4, 1e-3]}
search: {trials_each: 2}
objective: {samples: 64}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "question.yaml"
    path.write_text(SWEEP)
    return path


def gansweep(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, [str(w) for w in words], catch_exceptions=False)
    return done.exit_code, done.stdout, done.stderr


def test_a_plan_names_trials_arms_rungs_and_epochs(file: Path) -> None:
    code, out, _ = gansweep("plan", file)
    assert code == 0
    assert "4 trials in 2 arms, by fid64 (lower is better)" in out
    assert "rungs at epochs 1" in out
    assert "003-hinge" in out
    facts = json.loads(gansweep("plan", file, "--json")[1])
    assert facts["arms"] == {"nonsaturating": 2, "hinge": 2}
    assert facts["epochs"] == 8
    assert 4 < facts["expected_epochs"] < 8
    assert facts["trials"][0]["uid"] == "000-nonsaturating"


def test_what_a_trial_varies_is_told_in_full_on_a_narrow_screen(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"{player}.{key}" for player in ("generator", "discriminator") for key in
            ("lr", "beta1", "beta2")]  # fmt: skip
    ranges = "".join(f"  {key}: {{uniform: [0.1, 0.2]}}\n" for key in keys)
    file.write_text(SWEEP.replace("  generator.lr: {log_uniform: [1e-4, 1e-3]}\n", ranges))
    for columns, by_name in ((60, 4), (200, 0)):
        monkeypatch.setenv("COLUMNS", str(columns))
        _, out, _ = gansweep("plan", file)
        assert max(map(len, out.splitlines())) <= columns
        assert "\N{HORIZONTAL ELLIPSIS}" not in out
        assert out.count("discriminator.beta2=0.1") == by_name


def test_a_probe_tells_hours_and_disk_and_leaves_nothing(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch._dynamo  # noqa: F401  (PyTorch's own empty folder is made before)

    monkeypatch.chdir(tmp_path)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (tmp_path / "own_module_of_a_probe.py").write_text("LOADED = True\n")
    file.write_text(SWEEP + "plugins: [own_module_of_a_probe]\nbudget: {hours: 1000}\n")
    before = sorted(tmp_path.rglob("*"))
    facts = json.loads(gansweep("plan", file, "--probe", "--json")[1])
    told = facts["probe"]
    assert sys.modules.pop("own_module_of_a_probe").LOADED
    assert sorted(tmp_path.rglob("*")) == before
    stopped, whole = told["with_early_stopping"], told["without_early_stopping"]
    assert (stopped["epochs"], whole["epochs"]) == (facts["expected_epochs"], facts["epochs"])
    assert 0 < stopped["hours"] < whole["hours"]
    assert told["unit"] == "core-hours"
    assert told["arms"].keys() == {"nonsaturating", "hinge"}
    # Two epochs a trial: one checkpoint each.
    trained, _, _ = gansweep("try", file, "--out", tmp_path / "kept")
    kept = sum(p.stat().st_size for p in (tmp_path / "kept").rglob("checkpoints/*"))
    assert trained == 0
    assert whole["checkpoint_bytes"] == pytest.approx(4 * kept, rel=0.05)
    _, text, _ = gansweep("plan", file, "--probe")
    for words in (
        r"core-hours +\S+ +\S+\n",
        "with early stopping +without",
        "budget of 1000 hours suffices: ",
    ):
        assert re.search(words, text), words


def test_a_probe_names_the_arm_that_cannot_run_and_tells_the_others(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Adversarial.step

    def failing(self: Adversarial, *batch: Any) -> None:
        if self.config.loss.name == "hinge":
            raise DataUnavailable("no pictures: get some")
        step(self, *batch)

    monkeypatch.setattr(Adversarial, "step", failing)
    code, text, err = gansweep("plan", file, "--probe")
    assert code == 5
    assert err == "error: arm hinge cannot run: no pictures: get some\n"
    assert re.search(r"the arms that can run .*\nepochs +\d", text)
    assert re.search(r"hinge +cannot run", text)
    assert re.search(r"nonsaturating +\S+ +\S+ of 4 ", text)
    told = json.loads(gansweep("plan", file, "--probe", "--json")[1])["probe"]
    assert told["without_early_stopping"]["epochs"] == 4
    assert told["arms"].keys() == {"nonsaturating"}
    assert told["troubles"].keys() == {"hinge"}


def test_a_wrong_file_is_told_line_by_line_with_exit_code_2(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # The checkout may have `runs` of its own.
    file.write_text(SWEEP.replace("hinge", "hing").replace("epochs: 2", "epochs: -2"))
    for command in ("plan", "run", "try"):
        code, out, err = gansweep(command, file)
        assert code == 2
        assert out == ""
        assert err.splitlines() == [
            f"error: {file}:7: epochs: expected a whole number >= 1, got -2",
            f"error: {file}:9: loss.name: unknown loss 'hing' (did you mean 'hinge'?)",
        ]
    assert not (tmp_path / "runs").exists()


def test_try_trains_one_trial_here_and_says_an_epoch_a_line(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "kept"
    code, text, _ = gansweep("try", file, "--arm", "hinge", "--draw", 1, "--out", out)
    assert code == 0
    lines = text.splitlines()
    assert [line.split("  ")[0] for line in lines if line.startswith("epoch")] == [
        "epoch 1/2",
        "epoch 2/2",
    ]
    assert sorted(p.name for p in (out / "trials" / "003-hinge" / "samples").iterdir()) == [
        "epoch-0000.png",
        "epoch-0001.png",
        "epoch-0002.png",
    ]
    picture = tmp_path / "grid.png"
    code, text, _ = gansweep("sample", out, "--count", 9, "--out", picture)
    assert code == 0
    assert picture.read_bytes()[:4] == b"\x89PNG"
    code, text, _ = gansweep("show", out)
    assert "003-hinge" in text
    assert "fid64" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["try", "FILE", "--arm", "hing"], "no arm 'hing' (arms: nonsaturating, hinge)"),
        (["try", "FILE", "--draw", "9"], "arm 'nonsaturating' has draws 0 to 1, not 9"),
        (["show", "nothing", "--storage", "EMPTY"], "no sweep 'nothing' in EMPTY (there: none)"),
        (["plan", "missing.yaml"], "missing.yaml"),
    ],
)
def test_a_wrong_word_is_told_in_one_line(
    file: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    places = {"FILE": str(file), "EMPTY": str(tmp_path / "empty")}
    code, _, err = gansweep(*[places.get(w, w) for w in words])
    assert code == 2
    assert len(err.splitlines()) == 1
    assert message.replace("EMPTY", places["EMPTY"]) in err


@pytest.mark.parametrize(
    "kind", ["losses", "penalties", "models", "systems", "datasets", "metrics", "features"]
)
def test_listings_give_every_option_with_default_and_source(kind: str) -> None:
    code, out, _ = gansweep(kind)
    assert code == 0
    entries = json.loads(gansweep(kind, "--json")[1])
    for name, entry in entries.items():
        assert name in out
        assert entry["summary"]
        for option, facts in entry["options"].items():
            assert f"{option} = " in out
            assert facts["takes"]


@pytest.mark.parametrize("columns", [80, 120])
def test_help_has_every_command_with_the_whole_of_its_sentence(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    out = gansweep("--help")[1]
    told = " ".join(out.split())
    for name, command in main.commands.items():
        assert command.help is not None
        sentence = " ".join(command.help.split("\n\n")[0].split())
        assert f" {name} {sentence} " in f"{told} "  # Not cut off with dots.
    assert max(map(len, out.splitlines())) <= 80


def test_every_option_says_what_it_is_for() -> None:
    dumb = [
        f"{name} {option.opts[0]}"
        for name, command in main.commands.items()
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]
    assert dumb == []


def test_a_listing_keeps_its_margin_on_a_narrow_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    names = json.loads(gansweep("losses", "--json")[1])
    *lines, empty, use = gansweep("losses")[1].splitlines()
    assert (empty, use[:15]) == ("", "in a sweep file")
    assert {line for line in lines if not line.startswith("  ")} == set(names)


def test_long_names_of_arms_take_no_number_its_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses, tail = LOSSES[:3], "spectral,projection,width=128,r1"
    monkeypatch.setattr("sweeps.report.write_report", lambda *_: tmp_path)  # Drawing takes time.
    place = script_sweep(tmp_path / "long", losses=losses, each=4, seeds=3)
    written = json.dumps(planfile.read(place))
    for loss in losses:
        written = written.replace(f'"arm": "{loss}"', f'"arm": "{loss},{tail}"')
    planfile.write(place, json.loads(written))
    where = ("long", "--storage", tmp_path)
    facts = json.loads(gansweep("compare", *where, "--json")[1])
    monkeypatch.setenv("COLUMNS", "80")
    for out in (gansweep("compare", *where)[1], gansweep("show", *where)[1].split("\ncost")[0]):
        assert max(len(line) for line in out.splitlines() if "/" not in line) <= 80
        assert "\u2026" not in out
        for arm in facts["arms"]:
            row = next(line for line in out.splitlines() if arm["estimate"] in line)
            assert row.split()[0].startswith(arm["label"].split(",")[0])
            assert f"{arm['median']:.4g}" in row.split()
    listed = "".join(gansweep("list", *where[1:])[1].split())
    assert any(arm["label"] in listed for arm in facts["arms"])


def test_compare_names_the_arms_that_nothing_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeps.report.write_report", lambda *_: tmp_path)
    script_sweep(tmp_path / "one", losses=("hinge", "minimax"))
    script_sweep(tmp_path / "two", losses=("hinge", "least_squares"), seeds=0)
    code, out, _ = gansweep("compare", "one", "two", "--storage", tmp_path, "--out", tmp_path / "r")
    assert code == 0
    assert "not confirmed, so not compared: two/hinge, least_squares" in " ".join(out.split())


def test_nothing_heavy_is_imported_for_help_plan_or_a_wrong_file(file: Path) -> None:
    heavy = ("torch", "ray", "mlflow", "pandas", "numpy", "matplotlib", "sklearn", "torchvision")
    script = (
        "import sys; from sweeps.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        f"print([m for m in {heavy!r} if m in sys.modules], file=sys.stderr)"
    )
    wrong = file.with_name("wrong.yaml")
    wrong.write_text("base: {lossy: 1}")
    for words in (["--help"], ["plan", str(file)], ["run", str(wrong)], ["losses"]):
        done = subprocess.run(
            [sys.executable, "-c", script, *words], capture_output=True, text=True, check=True
        )
        assert done.stderr.splitlines()[-1] == "[]", words


@pytest.mark.parametrize(
    ("uri", "where"),
    [(None, "ui --storage here"), ("http://me:secret@host:5000", "http://me@host:5000")],
)
def test_the_end_says_where_mlflow_is(tmp_path: Path, uri: str | None, where: str) -> None:
    results = Results.read(script_sweep(tmp_path / "scripted", losses=LOSSES[:2], each=2))
    out = io.StringIO()
    print_end(results, Console(file=out, width=80), " --storage here", uri)
    (line,) = [line for line in out.getvalue().splitlines() if "in MLflow" in line]
    assert where in line
    assert "secret" not in out.getvalue()
