"""What is wrong with a run though each of its values is right by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gancore.catalogue import Catalogue, Entry
from gancore.growth import Growth

if TYPE_CHECKING:
    from gancore.config import Component, Data, RunConfig


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a configuration, and where: `("loss", "clip")`."""

    path: tuple[str, ...]
    message: str

    @classmethod
    def at(cls, path: str, message: str) -> Problem:
        """A problem at a dotted path."""
        return cls(tuple(path.split(".")), message)

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}: {self.message}" if self.path else self.message


def contradictions(config: RunConfig, catalogue: Catalogue) -> list[Problem]:
    """Every contradiction of a run whose components are known."""
    checks = (
        _resolution,
        _batch,
        _system,
        _growth,
        _classes,
        _average,
        _objective,
        _features,
        _discriminator,
    )
    return [problem for check in checks for problem in check(config, catalogue)]


def power_of_two_from(size: int) -> int:
    """The least power of two that is not below a size: 28 gives 32."""
    return 1 << (size - 1).bit_length()


def resolution_of(data: Data, catalogue: Catalogue) -> int | None:
    """The resolution that the networks see, or None where neither the run nor the data says."""
    size = catalogue["datasets"][data.name].facts.get("size")
    return data.resolution or (power_of_two_from(size) if size else None)


def _resolution(config: RunConfig, catalogue: Catalogue) -> Iterator[Problem]:
    name, size = config.data.name, catalogue["datasets"][config.data.name].facts.get("size")
    resolution = resolution_of(config.data, catalogue)
    if resolution is None:
        yield Problem.at("data", f"data set {name!r} has no size of its own: give a resolution")
        return
    most = power_of_two_from(size) if size else resolution
    if resolution > most:
        shows = f"{name} has pictures of {size} pixels, which cannot show {resolution}"
        yield Problem.at("data.resolution", f"{shows} (at most {most})")
    model = catalogue["models"][config.model.name]
    smallest = model.facts.get("smallest", 1)
    odd = resolution < smallest or power_of_two_from(resolution) != resolution
    if size and most < smallest:
        needs = f"model {config.model.name!r} needs pictures of at least {smallest} pixels"
        kind = model.facts.get("kind", "generator")
        use = _any_of(_as_small_as(most, kind, catalogue)) or "other data"
        yield Problem.at("model.name", f"{needs}, those of {name!r} have {size}: use {use}")
    elif model.facts.get("power_of_two") and odd:
        needs = f"model {config.model.name!r} needs a power of two from {smallest}"
        yield Problem.at("data.resolution", f"{needs}, got {resolution}")
    elif resolution < smallest or resolution % model.facts.get("multiple", 1):
        needs = f"model {config.model.name!r} needs a multiple of {model.facts.get('multiple', 1)}"
        yield Problem.at("data.resolution", f"{needs} from {smallest}, got {resolution}")


def _as_small_as(size: int, kind: str, catalogue: Catalogue) -> Iterator[str]:
    """Models of a kind that can make pictures of a size."""
    for name, entry in catalogue["models"].items():
        if entry.facts.get("kind", "generator") == kind and entry.facts.get("smallest", 1) <= size:
            yield name


def _batch(config: RunConfig, catalogue: Catalogue) -> Iterator[Problem]:
    pictures = catalogue["datasets"][config.data.name].facts.get("pictures")
    if pictures and config.batch > pictures:
        has = f"{config.data.name} has {pictures} pictures"
        yield Problem.at("batch", f"{has}, fewer than a batch of {config.batch}")


def _system(config: RunConfig, catalogue: Catalogue) -> Iterator[Problem]:
    """What a GAN system asks of data and model, as its constants say."""
    name, data = config.system.name, catalogue["datasets"][config.data.name]
    system, models = catalogue["systems"][name], catalogue["models"]
    wanted = system.facts.get("plays", "generator")
    kinds = {n: entry.facts.get("kind", "generator") for n, entry in models.items()}
    if kinds[config.model.name] != wanted:
        use = _any_of(n for n, kind in kinds.items() if kind == wanted)
        lacks = f"system {name!r} needs a {wanted}, which {config.model.name!r} is not"
        yield Problem.at("model.name", f"{lacks}: use {use}")
    if system.facts.get("labelled") and not _may_have_labels(data):
        lacks = f"system {name!r} needs labels, which {config.data.name!r} lacks"
        yield Problem.at("data.name", lacks)
    if system.facts.get("domains") and not data.facts.get("domains"):
        use = _any_of(n for n, e in catalogue["datasets"].items() if e.facts.get("domains"))
        lacks = f"system {name!r} needs pictures of two domains"
        yield Problem.at("data.name", f"{lacks}: use {use}")


def _may_have_labels(data: Entry) -> bool:
    return bool(data.facts.get("classes") or data.facts.get("perhaps_labelled"))


def _growth(config: RunConfig, catalogue: Catalogue) -> Iterator[Problem]:
    """Where networks grow: whether they have the time and the pictures for it."""
    system, last = catalogue["systems"][config.system.name], resolution_of(config.data, catalogue)
    wanted = ("first", "fade_kimg", "stable_kimg", "lengths", "batches")
    if last is None or not set(wanted) <= system.options.keys():
        return
    asked = {name: _option(config.system, system, name) for name in wanted}
    if asked["first"] > last:
        begins = f"the run begins at {asked['first']} pixels, but ends at {last}"
        yield Problem.at("system.first", begins)
        return
    growth = Growth.of(**asked, last=last, batch=config.batch)
    known = [phase.resolution for phase in growth]
    for table in ("lengths", "batches"):
        if others := sorted(set(asked[table] or ()) - set(known)):
            message = f"{others[0]} is none of the run's resolutions, {_listed(known)}"
            yield Problem.at(f"system.{table}", message)
    pictures = catalogue["datasets"][config.data.name].facts.get("pictures")
    if pictures and config.batch <= pictures < growth.largest_batch:
        has = f"{config.data.name} has {pictures} pictures"
        message = f"{has}, fewer than a batch of {growth.largest_batch}"
        yield Problem.at("system.batches", message)
    if pictures and (why := growth.unreached(config.epochs, pictures)):
        yield Problem.at("epochs", why)


def _classes(config: RunConfig, catalogue: Catalogue) -> Iterator[Problem]:
    """Where classes count: whether there are enough pictures of each."""
    system, data = catalogue["systems"][config.system.name], catalogue["datasets"][config.data.name]
    classes, pictures = data.facts.get("classes"), data.facts.get("pictures")
    if not classes:
        return
    samples, least = config.evaluation.samples, 2 * classes
    if system.facts.get("scores_classes") and 2 <= samples < least:
        scores = f"system {config.system.name!r} scores each of {classes} classes"
        message = f"{scores}, which needs {least} pictures, got {samples}"
        yield Problem.at("evaluation.samples", message)
    if name := system.facts.get("balanced"):
        asked = _option(config.system, system, name)
        if asked % classes:
            message = f"{asked} is not equally many of each of {classes} classes"
            yield Problem.at(f"system.{name}", message)
        elif pictures and asked > pictures:
            has = f"{config.data.name} has {pictures} pictures"
            yield Problem.at(f"system.{name}", f"{has}, fewer than {asked}")


def _average(config: RunConfig, catalogue: Catalogue) -> Iterator[Problem]:
    system = catalogue["systems"][config.system.name]
    name = system.facts.get("averaging")
    if name and _option(config.system, system, name) and not config.ema_kimg:
        yield Problem.at("ema_kimg", f"system.{name} needs averaged weights: give more than 0")


def _objective(config: RunConfig, catalogue: Catalogue) -> Iterator[Problem]:
    asked = config.evaluation
    metric, networks = catalogue["metrics"][asked.metric], catalogue["features"]
    if asked.samples < 2:
        yield Problem.at("evaluation.samples", "a covariance needs at least 2 pictures, got 1")
    owners = metric.facts.get("system", (config.system.name,))
    if config.system.name not in owners:
        message = f"only system {_any_of(owners)} has {asked.metric!r}"
        yield Problem.at("evaluation.metric", message)
    needs = metric.facts.get("needs", "features")
    if needs != "features" and needs not in networks[asked.features].facts.get("gives", ()):
        use = _any_of(n for n, e in networks.items() if needs in e.facts.get("gives", ()))
        lacks = f"{asked.metric!r} needs {needs}, which feature network {asked.features!r} lacks"
        yield Problem.at("evaluation.metric", f"{lacks}: use {use}")


def _features(config: RunConfig, catalogue: Catalogue) -> Iterator[Problem]:
    data, chosen = catalogue["datasets"][config.data.name], config.evaluation.features
    suited, channels = data.facts.get("features"), data.facts.get("channels", 3)
    if catalogue["features"][chosen].facts.get("named") and chosen != suited:
        whose = (n for n, e in catalogue["datasets"].items() if e.facts.get("features") == chosen)
        only = f"{chosen!r} only knows pictures of {_any_of(whose)}"
        yield Problem.at("evaluation.features", f"{only}: use 'classifier' or 'inception'")
    elif chosen == "inception" and channels not in (1, 3):
        sees = f"{chosen!r} sees grey or colours, not {channels} channels"
        yield Problem.at("evaluation.features", f"{sees}: use {suited or 'classifier'!r}")
    elif chosen == "classifier" and suited not in (None, chosen):
        message = f"{chosen!r} does not know the modes of {config.data.name!r}: use {suited!r}"
        yield Problem.at("evaluation.features", message)
    elif chosen == "classifier" and not data.facts.get("classes"):
        lacks = f"'classifier' is trained on labels, which {config.data.name!r} lacks"
        yield Problem.at("evaluation.features", f"{lacks}: use 'inception'")


def _discriminator(config: RunConfig, catalogue: Catalogue) -> Iterator[Problem]:
    loss, model = catalogue["losses"][config.loss.name], catalogue["models"][config.model.name]
    if config.penalty.name != "none" and loss.facts.get("penalty") == config.penalty.name:
        message = f"{config.penalty.name} is already a part of loss {config.loss.name!r}"
        yield Problem.at("penalty.name", message)
    if "clip" in loss.options and _option(config.model, model, "norm") == "spectral":
        message = f"spectral norm undoes the weight clipping of loss {config.loss.name!r}"
        yield Problem.at("model.norm", message)


def _option(component: Component, entry: Entry, name: str) -> Any:
    """The value of a component's option, its default where nobody set it; None without it."""
    known: Mapping[str, Any] = entry.options
    return component.options.get(name, known[name].default if name in known else None)


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


def _any_of(names: Iterator[str] | tuple[str, ...]) -> str:
    return " or ".join(sorted(names))
