"""An exported product is the trial's own network, for any batch, and says what it is."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor
from trained_sweep import CLASSIFIER, CONDITIONAL, GROWING, PLAIN, TRANSLATOR

from gancore.config import RunConfig
from gancore.models import ImageShape, models
from gancore.systems import Product
from gancore.systems.program import Untraceable, packed, program
from gancore.training import load_system
from sweeps.cli import main
from sweeps.samples import checkpoint_of


def gansweep(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, [str(w) for w in words], catch_exceptions=False)
    return done.exit_code, done.stdout, done.stderr


def inputs_of(product: Product, count: int) -> list[Tensor]:
    random = torch.Generator().manual_seed(7)
    return [
        torch.randn(count, *example.shape[1:], generator=random)
        if example.is_floating_point()
        else torch.arange(count) % 10
        for example in product.inputs.values()
    ]


@pytest.mark.parametrize("uid", [PLAIN, CONDITIONAL, CLASSIFIER, GROWING, TRANSLATOR])
def test_what_is_exported_is_the_trials_own_network(
    trained_once: Path, tmp_path: Path, uid: str
) -> None:
    out = tmp_path / "of one's own.pt2"
    code, _, _ = gansweep("export", trained_once, uid, "--out", out)
    assert code == 0
    exported = torch.export.load(str(out)).module()
    product = load_system(checkpoint_of(trained_once, uid)).product()
    for count in (1, 2, 5, 33):
        given = inputs_of(product, count)
        assert torch.equal(exported(*given), product.network(*given))
    facts = json.loads(out.with_suffix(".json").read_text())
    assert facts["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert facts["kind"] == product.kind
    assert list(facts["inputs"]) == list(product.inputs)
    assert facts["output"]["shape"] == ["batch", *product.network(*given).shape[1:]]
    assert RunConfig.of(facts["config"]).system.name == uid.partition("-")[2]


def test_the_sgans_classifier_tells_digits(trained_once: Path, tmp_path: Path) -> None:
    """The product is the discriminator that learnt classes, at the test error of its own run."""
    from gancore.data import load
    from gancore.data.batches import to_unit

    out = tmp_path / "classifier.pt2"
    assert gansweep("export", trained_once, CLASSIFIER, "--out", out)[0] == 0
    facts = json.loads(out.with_suffix(".json").read_text())
    test = load(RunConfig.of(facts["config"]).data, "test")
    assert test.labels is not None
    logits = torch.export.load(str(out)).module()(to_unit(torch.tensor(test.images)))
    error = (logits.argmax(1) != torch.tensor(test.labels)).double().mean().item()
    system = load_system(checkpoint_of(trained_once, CLASSIFIER))
    assert error == pytest.approx(system.score().scores["test_error"], abs=1e-9)
    assert error < 0.85


@pytest.mark.parametrize(
    ("uid", "shape"), [(PLAIN, (16, 1, 8, 8)), (CONDITIONAL, (16, 1, 8, 8)), (CLASSIFIER, (16, 10))]
)
def test_the_two_printed_lines_load_and_use_it(
    trained_once: Path, tmp_path: Path, uid: str, shape: tuple[int, ...]
) -> None:
    _, printed, _ = gansweep("export", trained_once, uid, "--out", tmp_path / "a.pt2")
    assert len(printed.splitlines()) == 2
    names = {"torch": torch}
    exec(printed, names)
    drawn = names["logits" if uid == CLASSIFIER else "pictures"]
    assert isinstance(drawn, Tensor)
    assert drawn.shape == shape


def test_the_facts_say_what_goes_in_and_what_it_rests_on(trained: Path) -> None:
    code, printed, _ = gansweep("export", trained, CONDITIONAL, "--epoch", 2)
    assert code == 0
    out = trained / "trials" / CONDITIONAL / "exported" / "epoch-0002-generator.pt2"
    assert str(out) in printed
    facts = json.loads(out.with_suffix(".json").read_text())
    assert facts["inputs"] == {
        "latents": {"shape": ["batch", 8], "dtype": "float32", "range": "N(0, 1)"},
        "labels": {"shape": ["batch"], "dtype": "int64", "range": "0 .. 9"},
    }
    assert facts["output"]["range"] == "[-1, 1]"
    assert facts["epoch"] == 2
    assert facts["score"]["fid30"] > 0
    assert facts["passport"]["generated"] == 30
    assert facts["trial"] == CONDITIONAL


def test_nothing_is_overwritten_unasked(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "generator.pt2"
    out.write_bytes(b"dear to me")
    code, _, err = gansweep("export", trained, PLAIN, "--out", out)
    assert code == 2
    assert err == f"error: {out} exists: --force overwrites it\n"
    assert out.read_bytes() == b"dear to me"
    assert not out.with_suffix(".json").exists()
    assert gansweep("export", trained, PLAIN, "--out", out, "--force")[0] == 0
    assert out.read_bytes() != b"dear to me"
    assert gansweep("export", trained, PLAIN)[0] == 0
    assert gansweep("export", trained, PLAIN)[0] == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([PLAIN, "--epoch", "1"], f"trial '{PLAIN}' keeps no checkpoint of epoch 1 (kept: 2, 3)"),
        (["nobody"], "no trial 'nobody' in 'small'"),
        ([PLAIN, "--out", "here.json"], "--out: expected a file that ends in .pt2"),
    ],
)
def test_a_wrong_word_is_told_in_one_line(
    trained_once: Path, words: list[str], message: str
) -> None:
    code, _, err = gansweep("export", trained_once, *words)
    assert code == 2
    assert len(err.splitlines()) == 1
    assert message in err


def test_a_damaged_checkpoint_is_told_in_one_line(trained: Path) -> None:
    checkpoint_of(trained, PLAIN).write_bytes(b"half")
    code, _, err = gansweep("export", trained, PLAIN)
    assert code == 5
    assert "checksum" in err
    assert not (trained / "trials" / PLAIN / "exported").exists()


@pytest.mark.parametrize("name", [n for n in models.names() if n != "cycle"])
def test_every_familys_generator_is_free_of_the_traced_batch(name: str) -> None:
    """`len(x)` in a network would do it: a trace takes a length for a constant."""
    torch.manual_seed(0)
    network = models.build(name).generator(6, ImageShape(1, 8)).eval().requires_grad_(False)
    product = Product(kind="generator", network=network, inputs={"latents": torch.zeros(2, 6)})
    loaded = torch.export.load(io.BytesIO(packed(program(product)))).module()
    latents = torch.randn(3, 6)
    assert torch.equal(loaded(latents), network(latents))


def test_a_network_that_fixes_its_batch_is_refused() -> None:
    class Fixed(torch.nn.Module):
        def forward(self, latents: Tensor) -> Tensor:
            return latents.view(len(latents), -1).expand(len(latents), 6) * len(latents)

    product = Product(kind="generator", network=Fixed(), inputs={"latents": torch.zeros(2, 6)})
    with pytest.raises(Untraceable, match="batch"):
        program(product)
