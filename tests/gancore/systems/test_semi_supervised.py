"""The semi-supervised GAN: the paper's formulas, its labels, its twin, and that it learns."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gancore.config import ConfigError, RunConfig
from gancore.data import DataUnavailable, Pictures
from gancore.data.batches import to_unit
from gancore.models import ImageShape, models
from gancore.systems import Material, systems
from gancore.systems.program import program
from gancore.systems.semi_supervised import Classes, balanced
from gancore.training import train

MLP = {"name": "mlp", "width": 16}
NOISY = {"name": "noisy_mlp", "width": 0.05}


def config(options: dict[str, Any], **changes: Any) -> RunConfig:
    system = {"name": "semi_supervised", "labels": 50, **options}
    small = {"data": "digits", "model": MLP, "latent": 8, "batch": 50, "epochs": 1}
    return RunConfig.of({**small, "system": system, "evaluation": {"samples": 60}, **changes})


def built(options: dict[str, Any], material: Material | None = None, **changes: Any) -> Any:
    run = config(options, **changes)
    material = material or Material(run, torch.device("cpu"))
    return systems.build("semi_supervised", run, material, **run.system.options)


def begun(options: dict[str, Any], **changes: Any) -> Any:
    system = built(options, **changes)
    system.begin_epoch(1, 0.0)
    return system


def batch(system: Any) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Real and generated pictures, and labelled ones."""
    real = system.batches.take(torch.arange(50))
    fake = system.generator(torch.randn(50, 8, generator=torch.Generator().manual_seed(0)))
    return real.unit, fake.detach(), system.conditions(real)


def with_generated(system: Any, pictures: Tensor) -> Tensor:
    """Log probabilities of K + 1 classes, "generated" the last, whose logit is 0: [N, K + 1]."""
    classes = system.discriminator.network.classes(pictures)
    return F.log_softmax(torch.cat([classes, classes.new_zeros(len(classes), 1)], 1).double(), 1)


def test_the_logit_of_real_is_that_of_a_softmax_over_one_class_more() -> None:
    """D(x) = Z / (Z + 1), and 1 - D(x) is the probability of class K + 1."""
    torch.manual_seed(0)
    network = Classes(models.build("mlp", width=16).discriminator(ImageShape(1, 8)), 10)
    pictures = 9 * torch.randn(64, 1, 8, 8)
    sums = network.classes(pictures).double().exp().sum(1)
    real = network(pictures).double().sigmoid()
    torch.testing.assert_close(real, sums / (sums + 1))
    logits = F.pad(network.classes(pictures), (0, 1))
    torch.testing.assert_close(1 - real, logits.double().softmax(1)[:, -1], atol=1e-7, rtol=1e-5)


def test_the_discriminators_loss_is_the_papers() -> None:
    """Section 5, with the authors' half of the unsupervised part.

    L_supervised = -E log p(y | x, y < K + 1); L_unsupervised = -E log(1 - p(K + 1 | x)) of real
    pictures - E log p(K + 1 | x) of generated ones.
    """
    system = begun({})
    real, fake, told = batch(system)
    pictures, labels = told
    classes = with_generated(system, pictures)[:, :-1]
    given_real = classes - classes.logsumexp(1, keepdim=True)
    supervised = -given_real[torch.arange(len(labels)), labels].mean()
    not_generated = torch.log1p(-with_generated(system, real)[:, -1].exp())
    unsupervised = -not_generated.mean() - with_generated(system, fake)[:, -1].mean()
    loss = system.discriminator_loss(real, fake, told)
    assert loss.item() == pytest.approx((supervised + unsupervised / 2).item(), rel=1e-5)
    weighty = begun({"adversarial_weight": 3.0})
    loss = weighty.discriminator_loss(real, fake, told)
    assert loss.item() == pytest.approx((supervised + 3 * unsupervised).item(), rel=1e-5)


def test_consistency_is_the_squared_distance_to_what_the_average_says() -> None:
    system = begun({"consistency": 2.0})
    real, fake, told = batch(system)
    with torch.no_grad():
        for weight in system.averages[0].network.parameters():
            weight.mul_(1.5)
    teacher = system.averages[0].network.classes(real).softmax(1)
    gap = (system.discriminator.network.classes(real).softmax(1) - teacher).square().sum(1).mean()
    without = begun({}).discriminator_loss(real, fake, told)
    loss = system.discriminator_loss(real, fake, told)
    assert loss.item() == pytest.approx((without + 2 * gap).item(), rel=1e-5)


def test_the_generator_plays_the_game_or_matches_features() -> None:
    playing = begun({"matching": "loss"})
    real, fake, told = batch(playing)
    not_generated = torch.log1p(-with_generated(playing, fake)[:, -1].exp())
    loss = playing.generator_loss(real, fake, told)
    assert loss.item() == pytest.approx(-not_generated.mean().item(), rel=1e-5)

    matching = begun({"matching": "features"})
    matching.discriminator.network.body = nn.Flatten()  # The features are the pixels.
    fake.requires_grad_()
    loss = matching.generator_loss(real, fake, told)
    gap = fake.mean(0) - real.mean(0)
    torch.testing.assert_close(loss, gap.square().mean())
    (gradient,) = torch.autograd.grad(loss, fake)
    torch.testing.assert_close(gradient, (2 * gap / gap.numel() / 50).expand(50, -1, -1, -1))


def test_the_two_networks_begin_alike_in_any_precision() -> None:
    """Their first losses on the first labelled pictures are one number."""
    for precision in ("float32", "bfloat16"):
        system = begun({}, precision=precision)
        real, _, told = batch(system)
        system.step(real, told)
        losses = system.end_epoch()
        assert losses["loss_classes"] == losses["loss_classes_supervised"], precision


def digits() -> Pictures:
    return Material(config({}), torch.device("cpu")).train


def test_the_labelled_pictures_are_equally_many_of_each_class_and_drawn_by_the_seed() -> None:
    everything = digits()
    drawn = [balanced(everything, 50, 10, seed) for seed in (0, 0, 1, 2)]
    for subset in drawn:
        assert subset.labels is not None
        assert np.bincount(subset.labels).tolist() == [5] * 10
        assert len(np.unique(subset.images.reshape(50, -1), axis=0)) == 50
    assert np.array_equal(drawn[0].images, drawn[1].images)
    seen = [{image.tobytes() for image in subset.images} for subset in drawn]
    for one, other in [(0, 2), (0, 3), (2, 3)]:
        assert len(seen[one] & seen[other]) < 10
    every = balanced(everything, 1000, 10, seed=0)
    assert {(i.tobytes(), n) for i, n in zip(every.images, every.labels, strict=True)} <= {
        (i.tobytes(), n) for i, n in zip(everything.images, everything.labels, strict=True)
    }


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (105, "system.labels: 105 is not equally many of each of 10 classes"),
        (5, "system.labels: 5 is not equally many of each of 10 classes"),
        (2000, "system.labels: digits has 1500 pictures, fewer than 2000"),
    ],
)
def test_labels_that_cannot_be_are_refused_before_anything_is_read(labels: int, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        config({"labels": labels})
    assert str(error.value) == words


def test_labels_that_cannot_be_are_refused_where_only_the_data_tell() -> None:
    everything = digits()
    assert everything.labels is not None
    with pytest.raises(DataUnavailable, match=r"system.labels: 105 is not a multiple of 10"):
        balanced(everything, 105, 10, seed=0)
    few = everything.chosen(np.flatnonzero(everything.labels != 3)[:600], "no threes")
    with pytest.raises(DataUnavailable, match="class 3 has 0, not 5"):
        balanced(few, 50, 10, seed=0)


def test_consistency_without_an_average_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"ema_kimg: system.consistency needs averaged weights"):
        config({"consistency": 1.0}, ema_kimg=0)


def test_every_labelled_picture_is_shown_once_before_any_is_shown_again() -> None:
    system = begun({"labels": 50, "labelled_batch": 20})
    any_batch = system.batches.take(torch.arange(50))
    for _ in range(2):
        shown = [system.conditions(any_batch)[0] for _ in range(3)]
        assert sorted(map(len, shown)) == [10, 20, 20]
        rows = {picture.numpy().tobytes() for part in shown for picture in part}
        assert rows == {
            p.numpy().tobytes() for p in to_unit(torch.tensor(system._labelled._images))
        }


def test_a_shifted_picture_is_moved_whole_and_its_edge_goes_on() -> None:
    system = begun({"shift": 2})
    pictures = torch.randn(400, 1, 8, 8)
    wide = F.pad(pictures, (2, 2, 2, 2), mode="replicate")
    found: set[tuple[int, int]] = set()
    for picture, moved in zip(wide, system._moved(pictures), strict=True):
        places = [
            (down, right)
            for down in range(5)
            for right in range(5)
            if torch.equal(picture[:, down : down + 8, right : right + 8], moved)
        ]
        assert len(places) == 1
        found.update(places)
    assert len(found) == 25
    assert torch.equal(begun({})._moved(pictures), pictures)


def test_the_test_accuracy_is_the_share_that_one_counts_by_hand() -> None:
    system = begun({}, ema_kimg=0)
    test = system.material.test
    accuracies = []
    for network, wrong in zip(system.classifiers(), (30, 297), strict=True):
        with torch.no_grad():
            told = network.classes(to_unit(torch.tensor(test.images))).argmax(1).numpy()
        labels = told.copy()
        labels[:wrong] = (labels[:wrong] + 1) % 10
        system.material.test = replace(test, labels=labels)
        accuracies.append(system._accuracy(network))
        assert network.training
    assert accuracies == pytest.approx([1 - 30 / 297, 0])
    scored = system.score()
    right, alone = scored.statistics["test_accuracy"], scored.statistics["supervised_accuracy"]
    assert scored.scores["test_error"] == pytest.approx(1 - right)
    assert alone == 0


def test_the_twin_never_sees_an_unlabelled_picture() -> None:
    """With noise in place of all of them it learns what it did, to the last bit."""
    run = config({}, model=NOISY, batch=250)
    everything = Material(run, torch.device("cpu")).train
    kept = {i.tobytes() for i in balanced(everything, 50, 10, run.seed).images}
    noise = np.random.default_rng(0).integers(0, 256, everything.images.shape, dtype=np.uint8)
    labelled = np.array([image.tobytes() in kept for image in everything.images])
    noisy = replace(
        everything, images=np.where(labelled[:, None, None, None], everything.images, noise)
    )
    learnt = []
    for pictures in (everything, noisy):
        material = Material(run, torch.device("cpu"))
        material.train = pictures  # type: ignore[misc]
        system = built({}, material, model=NOISY, batch=250)
        list(system.train(1, 0.0))
        learnt.append(copy.deepcopy(system.state_dict()))
    twins = [state["supervised"]["network"] for state in learnt]
    others = [state["discriminator"]["network"] for state in learnt]
    assert all(torch.equal(weight, twins[1][name]) for name, weight in twins[0].items())
    assert not any(torch.equal(weight, others[1][name]) for name, weight in others[0].items())


def test_what_is_exported_is_a_copy_of_the_classifier_that_was_tested() -> None:
    for kimg in (0, 2):
        system = begun({}, ema_kimg=kimg)
        pictures = to_unit(torch.tensor(system.material.test.images[:5]))
        product = system.product()
        assert product.kind == "classifier"
        told = program(product).module()(pictures)
        torch.testing.assert_close(told, system.classifiers()[0].eval().classes(pictures))
        # Its taking leaves the run as it was.
        assert all(p.requires_grad for p in system.discriminator.network.parameters())
        real, _, given = batch(system)
        system.step(real, given)
        torch.testing.assert_close(product.network(pictures), told)


def test_from_a_hundred_labels_it_learns_the_digits() -> None:
    model, evaluation = {"name": "noisy_mlp", "width": 0.2}, {"samples": 60, "metric": "test_error"}
    run = config({"labels": 100}, model=model, batch=64, epochs=5, latent=64, evaluation=evaluation)
    *_, last = train(run, device="cpu")
    values = last.values()
    assert values["test_accuracy"] > 0.75
    assert values["supervised_accuracy"] > 0.65
    assert values["test_error"] == pytest.approx(1 - values["test_accuracy"])
