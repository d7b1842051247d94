"""`gansweep evaluate`: what it finds, keeps, prints, and tells MLflow; and how it says no."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from trained_sweep import CLASSIFIER, CONDITIONAL, GROWING, PLAIN, TRANSLATOR
from written_sweep import client_of, everything, journalled, points_of, runs_of

from gancore import seeds
from gancore.config import RunConfig
from gancore.data import load
from gancore.metrics import Judge
from gancore.metrics.evaluation import feature_metric
from gancore.training import load_system
from sweeps import tracking
from sweeps.cli import main
from sweeps.plan import Plan
from sweeps.samples import checkpoint_of
from sweeps.tracking.description import evaluation_tags, evaluation_values

# MLflow 3.17 asks SQLAlchemy 2.1 for what that will drop; nothing of ours can help it.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")

FEW = ("--samples", "60", "--repeats", "20")
NOWHERE = ("--tracking-uri", "http://127.0.0.1:9")
"""Nothing listens there, so that MLflow costs no time in tests of something else."""


def gansweep(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, [str(w) for w in words], catch_exceptions=False)
    return done.exit_code, done.stdout, done.stderr


def evaluated(place: Path, *words: object) -> dict[str, Any]:
    code, out, err = gansweep("evaluate", place, *words, *NOWHERE, "--json")
    assert code == 0, err
    facts: dict[str, Any] = json.loads(out)
    return facts


@pytest.fixture
def stored(trained_once: Path, storage: Path) -> Path:
    """A copy of the sweep, beside a store for MLflow that is ready."""
    return Path(shutil.copytree(trained_once, storage / "small"))


def judge_of(place: Path, uid: str) -> Judge:
    config = RunConfig.of(Plan.read(place).trial(uid).config)
    real, test = load(config.data, "train"), load(config.data, "test")
    return Judge.prepare(
        config, real, test, folder=place / "evaluation", device=torch.device("cpu")
    )


def test_scores_are_those_of_fresh_pictures_and_of_real_ones(trained: Path) -> None:
    facts = evaluated(trained, PLAIN, *FEW, "--seed", 3)
    assert facts["scores"].keys() >= {"fid60", "kid60", "is60", "precision60", "coverage60"}
    assert facts["passport"]["generated"] == 60
    judge = judge_of(trained, PLAIN)
    real = judge.evaluator().real
    system = load_system(checkpoint_of(trained, PLAIN))
    drawn = judge.features([system.sample(60, seeds.stream(3, "evaluate"))])
    for name in ("fid", "precision", "is"):
        row = facts["scores"][f"{name}60"]
        assert row["value"] == pytest.approx(feature_metric(name).score(real, drawn), rel=1e-6)
        assert row["low"] <= row["high"]
        assert row["repeats"] == 20
    row = facts["scores"]["fid60"]
    assert facts["reference"] == {"split": "test", "pictures": 60}
    assert 0 < row["reference"] < row["value"]
    assert (row["goal"], facts["scores"]["coverage60"]["goal"]) == ("min", "max")


def test_the_reference_is_the_whole_test_split_where_that_is_smaller(trained: Path) -> None:
    facts = evaluated(trained, PLAIN, "--samples", 400, "--repeats", 10, "--metric", "fid")
    judge = judge_of(trained, PLAIN)
    assert facts["reference"]["pictures"] == len(judge.test.images) == 297
    test = judge.features([torch.tensor(judge.test.images)])
    expected = feature_metric("fid").score(judge.evaluator().real, test)
    assert facts["scores"]["fid400"]["reference"] == pytest.approx(expected, rel=1e-6)


def test_a_seed_repeats_an_evaluation_and_another_does_not(trained: Path) -> None:
    def scores(*words: object) -> dict[str, Any]:
        rows = evaluated(trained, PLAIN, *FEW, "--metric", "fid", *words)["scores"]
        return {name: (row["value"], row["low"], row["high"]) for name, row in rows.items()}

    first = scores()
    assert scores("--seed", 0) == first
    assert scores("--seed", 1)["fid60"][0] != first["fid60"][0]
    # The objective of the run was found with other latents than any evaluation's.
    then = [p for p in journalled(trained, PLAIN) if p[:2] == ("fid30", 3)]
    again = evaluated(trained, PLAIN, "--samples", 30, "--repeats", 10, "--metric", "fid")
    assert repr(again["scores"]["fid30"]["value"]) not in {value for *_, value in then}


@pytest.mark.parametrize(
    ("uid", "own"),
    [
        (PLAIN, set()),
        (CONDITIONAL, {"label_accuracy", "intra_fid60"}),
        (CLASSIFIER, {"test_error", "test_accuracy", "supervised_accuracy"}),
        (GROWING, set()),
    ],
)
def test_a_systems_own_numbers_stand_beside_the_scores(
    trained: Path, uid: str, own: set[str]
) -> None:
    at = ("--epoch", 1) if uid == GROWING else ()
    facts = evaluated(trained, uid, *FEW, *at)
    alone = {name for name, row in facts["scores"].items() if "low" not in row}
    assert alone == own
    assert "fid60" in facts["scores"]
    assert facts["passport"]["resolution"] == (4 if uid == GROWING else 8)
    if uid == CLASSIFIER:
        rows = facts["scores"]
        assert rows["test_error"]["value"] == pytest.approx(1 - rows["test_accuracy"]["value"])
        assert rows["test_error"]["goal"] == "min"
        only = evaluated(trained, uid, *FEW, "--seed", 1, "--metric", "test_error")
        assert only["scores"].keys() == {"test_error"}


def test_a_translator_is_held_against_the_domain_it_paints(trained: Path) -> None:
    facts = evaluated(trained, TRANSLATOR, "--repeats", 10)
    config = RunConfig.of(Plan.read(trained).trial(TRANSLATOR).config)
    train, test = load(config.data, "train"), load(config.data, "test")
    assert train.labels is not None
    assert test.labels is not None
    there = int((test.labels % 2 == 0).sum())
    # Each test picture of A is translated once, and held against the training pictures of B.
    assert facts["passport"]["generated"] == there
    assert facts["passport"]["real"] == int((train.labels % 2 == 1).sum())
    assert facts["reference"]["pictures"] <= int((test.labels % 2 == 1).sum())
    rows = facts["scores"]
    assert rows[f"fid{there}"]["value"] == pytest.approx(rows[f"fid_ab{there}"]["value"], rel=0.2)
    assert rows["cycle_error"]["goal"] == "min"
    code, _, err = gansweep("evaluate", trained, TRANSLATOR, "--samples", there + 1)
    assert (code, err) == (2, f"error: --samples: there are {there} test pictures to translate\n")


def test_what_was_found_before_stays_beside_what_is_found_now(trained: Path) -> None:
    fid = evaluated(trained, PLAIN, *FEW, "--metric", "fid")
    path = trained / "trials" / PLAIN / "evaluations" / "epoch-0003-60-classifier-seed0.json"
    assert fid["file"] == str(path)
    content = path.read_bytes()
    assert evaluated(trained, PLAIN, *FEW, "--metric", "fid") == fid
    assert path.read_bytes() == content
    both = evaluated(trained, PLAIN, *FEW, "--metric", "density")["scores"]
    assert both.keys() == {"fid60", "density60"}
    assert both["fid60"] == fid["scores"]["fid60"]
    # Of other weights, it is another evaluation.
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({**facts, "checkpoint": "0" * 64}))
    assert evaluated(trained, PLAIN, *FEW, "--metric", "fid")["scores"].keys() == {"fid60"}


def test_people_read_scores_intervals_protocol_and_what_is_attainable(trained: Path) -> None:
    code, out, err = gansweep("evaluate", trained, "--repeats", 10, "--samples", 400, *NOWHERE)
    assert code == 0
    assert out.startswith(f"{GROWING}  epoch 2  (fid30 ")  # The best: nobody else came so far.
    lines = [" ".join(line.split()) for line in out.splitlines()]
    heading = lines.index("score value 95% interval better real pictures")
    assert any(line.startswith("fid") and " .. " in line for line in lines[heading:])
    assert "generated by" in out
    assert err.startswith("warning: MLflow does not have everything")
    assert "later: gansweep sync small" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nobody"], "no trial 'nobody' in 'small' (see `gansweep show small`)"),
        ([PLAIN, "--epoch", "1"], f"trial '{PLAIN}' keeps no checkpoint of epoch 1 (kept: 2, 3)"),
        ([PLAIN, "--metric", "fidd"], "--metric: unknown metric 'fidd' (did you mean 'fid'?)"),
        (
            [PLAIN, "--features", "inceptoin"],
            "--features: unknown feature network 'inceptoin' (did you mean 'inception'?)",
        ),
        (
            [PLAIN, "--metric", "test_error"],
            "--metric: only system semi_supervised has 'test_error'",
        ),
        (
            [PLAIN, "--inception-weights", "w.pth"],
            "--inception-weights: the feature network is 'classifier'",
        ),
        (
            [PLAIN, "--tracking-uri", "ftp://x"],
            "--tracking-uri: 'ftp://x' is neither a server (http, https) nor a database "
            "(sqlite, postgresql, mysql, mssql)",
        ),
    ],
)
def test_a_wrong_word_is_told_in_one_line(
    trained_once: Path, words: list[str], message: str
) -> None:
    code, out, err = gansweep("evaluate", trained_once, *words)
    assert (code, out, err) == (2, "", f"error: {message}\n")


def test_a_score_that_the_features_cannot_give_names_those_that_can(trained_once: Path) -> None:
    code, _, err = gansweep(
        "evaluate", trained_once, PLAIN, "--features", "inception", "--metric", "modes"
    )
    assert code == 2
    assert err.startswith("error: --metric: 'modes' needs modes, which feature network 'inception'")
    assert "classifier" in err
    assert len(err.splitlines()) == 1


def test_what_is_missing_or_damaged_is_told_in_one_line(trained: Path, tmp_path: Path) -> None:
    missing = tmp_path / "weights.pth"
    words = (PLAIN, "--features", "inception", "--inception-weights", missing)
    code, _, err = gansweep("evaluate", trained, *words)
    assert (code, err) == (5, f"error: no Inception weights at {missing}\n")
    checkpoint_of(trained, PLAIN).write_bytes(b"half")
    code, _, err = gansweep("evaluate", trained, PLAIN)
    assert code == 5
    assert "checksum" in err
    assert len(err.splitlines()) == 1


def test_mlflow_gets_each_score_once_whoever_sends_it(stored: Path) -> None:
    uri = tracking.default_uri(stored.parent)
    fid = ("--metric", "fid", "--metric", "density")
    code, out, err = gansweep("evaluate", stored, CLASSIFIER, *FEW, *fid, "--json")
    assert (code, err) == (0, "")
    facts = json.loads(out)
    client = client_of(stored)
    run = runs_of(client)[CLASSIFIER]
    rows = facts["scores"]
    expected = [
        (f"eval/{name}", facts["epoch"], row["time_ms"], repr(row["value"]))
        for name, row in rows.items()
    ]
    assert len(expected) == 2
    assert points_of(client, run) == sorted(journalled(stored, CLASSIFIER) + expected)
    for score, row in rows.items():
        told = f"{row['value']:.4g} [{row['low']:.4g}, {row['high']:.4g}]"
        assert run.data.tags[f"gansweep.eval/{score}"] == told
    name = Path(facts["file"]).name
    assert run.data.tags["gansweep.evaluated"] == name.removesuffix(".json")
    (artifact,) = client.list_artifacts(run.info.run_id, "evaluations")
    sent = Path(client.download_artifacts(run.info.run_id, artifact.path))
    assert sent.read_bytes() == Path(facts["file"]).read_bytes()

    before = everything(stored.parent)
    tracking.sync(stored, uri)
    gansweep("evaluate", stored, CLASSIFIER, *FEW, *fid)
    (stored / "tracking.json").unlink()
    tracking.sync(stored, uri)
    after = everything(stored.parent)
    assert after["metrics"] == before["metrics"]
    assert after["tags"] == before["tags"]
    assert after["runs"] == before["runs"]


def test_an_evaluation_while_mlflow_is_away_is_sent_later(stored: Path) -> None:
    tracking.sync(stored, tracking.default_uri(stored.parent))
    facts = evaluated(stored, PLAIN, *FEW, "--metric", "fid")
    client = client_of(stored)
    assert "eval/fid60" not in runs_of(client)[PLAIN].data.metrics
    damaged = Path(facts["file"]).with_name("epoch-0001-9-classifier-seed0.json")
    damaged.write_text("{half")
    assert gansweep("sync", stored)[0] == 0
    run = runs_of(client)[PLAIN]
    assert run.data.metrics["eval/fid60"] == facts["scores"]["fid60"]["value"]


def test_scores_by_another_network_are_another_curve() -> None:
    row = {"value": 1.5, "low": None, "high": 2.0, "time_ms": 7}
    facts = {"epoch": 12, "passport": {"features": "inception"}, "scores": {"fid10k": row}}
    assert [tuple(v) for v in evaluation_values(facts, "inception")] == [
        ("eval/fid10k", 1.5, 7, 12)
    ]
    assert [v.key for v in evaluation_values(facts, "classifier")] == ["eval/inception/fid10k"]
    assert evaluation_tags(facts, "inception") == {}  # There is no interval with one end.
    row["low"] = 1.0
    assert evaluation_tags(facts, "classifier") == {"gansweep.eval/inception/fid10k": "1.5 [1, 2]"}
