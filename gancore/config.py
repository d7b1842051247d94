"""Everything that decides the outcome of one run; every default of a run lives here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, Literal, get_type_hints

from gancore.catalogue import KINDS, Catalogue, Entry, argument_help
from gancore.contradictions import Problem, contradictions
from gancore.schema import (
    MISSING,
    Count,
    Fraction,
    Momentum,
    NonNegative,
    Option,
    Positive,
    Refused,
    Whole,
    show,
    unknown,
)


@dataclass(frozen=True, kw_only=True)
class Component:
    """A registered component by name, with the options that differ from its defaults."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Data(Component):
    """The pictures.

    Args:
        resolution: Height and width in pixels that the networks see; None takes the data set's
            own size, padded to the next power of two.
    """

    resolution: Count | None = None


@dataclass(frozen=True, kw_only=True)
class Generator:
    """How the generator is optimised.

    Args:
        optimizer: Adam (Kingma and Ba 2015, arXiv:1412.6980), RMSProp (Tieleman and Hinton 2012) or
            stochastic gradient descent.
        beta1: Of Adam; for the others, their momentum.
        beta2: Of Adam; for RMSProp, the decay of its mean square.
    """

    optimizer: Literal["adam", "rmsprop", "sgd"] = "adam"
    lr: Positive = 2e-4
    beta1: Momentum = 0.5
    beta2: Momentum = 0.999


@dataclass(frozen=True, kw_only=True)
class Discriminator:
    """How the discriminator is optimised, and how often.

    Args:
        optimizer: As the generator's; beta1 and beta2 alike.
        steps: Discriminator steps per generator step (n_critic, Arjovsky et al. 2017).
    """

    optimizer: Literal["adam", "rmsprop", "sgd"] = "adam"
    lr: Positive = 2e-4
    beta1: Momentum = 0.5
    beta2: Momentum = 0.999
    steps: Count = 1


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How a run is scored at the end of every epoch.

    Args:
        metric: The score.
        samples: Generated pictures per score; part of the score's name (`fid5k`).
        features: The network whose features are compared.
        inception_weights: A file with the weights of `inception`; None lets them be downloaded.
    """

    metric: str = "fid"
    samples: Count = 5000
    features: str = "classifier"
    inception_weights: str | None = None


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One training run.

    Args:
        latent: Size of the generator's input.
        batch: Pictures per discriminator step.
        lr_decay: Whether both learning rates fall to 0 at the end, and how.
        lr_decay_start: Share of the run after which they begin to fall.
        ema_kimg: Half-life of the average of the generator's weights, in thousands of pictures;
            the average is what is evaluated. 0 evaluates the weights themselves.
        ema_rampup: The half-life is at most this share of the pictures seen so far, so that a
            short run does not average over its own beginning (Karras et al. 2020, StyleGAN2).
        precision: Number format of the networks' forward and backward passes.
        deterministic: Bit-equal repetition on CUDA too, at some cost in speed; a sweep of such runs
            lets nothing be decided by who was quicker.
    """

    data: Data = Data(name="mnist5k")
    system: Component = Component(name="adversarial")
    model: Component = Component(name="dcgan")
    loss: Component = Component(name="nonsaturating")
    penalty: Component = Component(name="none")
    generator: Generator = Generator()
    discriminator: Discriminator = Discriminator()
    latent: Count = 64
    batch: Count = 64
    epochs: Count = 10
    lr_decay: Literal["none", "linear", "cosine"] = "none"
    lr_decay_start: Fraction = 0.0
    ema_kimg: NonNegative = 2.0
    ema_rampup: Fraction = 0.05
    precision: Literal["float32", "bfloat16"] = "float32"
    deterministic: bool = False
    evaluation: Evaluation = Evaluation()
    seed: Whole = 0

    @classmethod
    def of(cls, mapping: Mapping[str, Any], catalogue: Catalogue | None = None) -> RunConfig:
        """A run from nested mappings, such as a part of a sweep file.

        A component may be its name alone: `loss: hinge` is `loss: {name: hinge}`.

        Raises:
            ConfigError: With every problem that the mapping has.
        """
        reader = _Reader(catalogue or Catalogue.read())
        if isinstance(mapping, Mapping):
            mapping = laid_over(preset(mapping.get("system"), reader.catalogue), mapping)
        config = reader.section(cls, mapping, ())
        # What is wrong was left at its default; with a component unknown, that would mislead.
        wrong = {p.path for p in reader.problems}
        if not any(p[-1:] == ("name",) or (len(p) == 1 and p[0] in COMPONENTS) for p in wrong):
            found = contradictions(config, reader.catalogue)
            reader.problems += [p for p in found if p.path not in wrong]
        if reader.problems:
            raise ConfigError(reader.problems)
        return config

    def as_mapping(self) -> dict[str, Any]:
        """Nested plain mappings; `RunConfig.of` reads them back."""
        mapping = _plain(self)
        assert isinstance(mapping, dict)
        return mapping


class ConfigError(ValueError):
    """A configuration that cannot be run, with all of its problems."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(map(str, self.problems)))


COMPONENTS = {
    "data": "datasets",
    "system": "systems",
    "model": "models",
    "loss": "losses",
    "penalty": "penalties",
}
"""The fields of `RunConfig` that name a component, with the registry that has it."""


def preset(system: Any, catalogue: Catalogue) -> Mapping[str, Any]:
    """What a system makes of a run where nothing else is said; empty where it has no preset.

    Args:
        system: Its name or its section, as a file has it.
    """
    name = system.get("name") if isinstance(system, Mapping) else system
    entry = catalogue["systems"].get(name) if isinstance(name, str) else None
    found: Mapping[str, Any] = entry.facts.get("preset", {}) if entry else {}
    return found


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two partial runs as one, in which `above` has the last word on every key.

    A component of another name takes none of the options below it.
    """
    run = dict(below)
    for key, value in above.items():
        if key in COMPONENTS and isinstance(value, str):
            value = {"name": value}
        under = run.get(key)
        if key in COMPONENTS and isinstance(under, str):
            under = {"name": under}
        if isinstance(value, Mapping) and isinstance(under, Mapping):
            other = key in COMPONENTS and value.get("name", under.get("name")) != under.get("name")
            value = dict(value) if other else {**under, **value}
        run[key] = value
    return run


def flatten(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted path and value of every leaf: `("loss.name", "hinge")`."""
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def options_of(kind: type) -> Mapping[str, Option]:
    """The plain fields of a configuration section, as options."""
    return _options_of(kind)


@cache
def _options_of(kind: type) -> Mapping[str, Option]:
    # Reading the hints of a class takes longer than checking a whole run.
    hints = get_type_hints(kind, include_extras=True)
    helps = argument_help(kind.__doc__ or "")
    wiring = {f.name for f in fields(Component)} if issubclass(kind, Component) else set()
    return {
        f.name: Option.of(f.name, hints[f.name], f.default, helps.get(f.name, ""))
        for f in fields(kind)
        if f.name not in wiring and not is_dataclass(f.default)
    }


def score_name(metric: str, samples: int) -> str:
    """The key of a score, which says how many pictures it rests on: `fid5k`, `fid2500`."""
    return f"{metric}{samples}" if samples % 1000 else f"{metric}{samples // 1000}k"


def objective_name(config: RunConfig, catalogue: Catalogue | None = None) -> str:
    """The key in every report of the score that a run is judged by."""
    entry = (catalogue or Catalogue.read())["metrics"][config.evaluation.metric]
    return score_key(entry, config.evaluation)


def score_key(metric: Entry, evaluation: Evaluation) -> str:
    """A metric's key: with its sample count, unless it is a system's own number."""
    if "system" in metric.facts:
        return metric.name
    return score_name(metric.name, evaluation.samples)


class _Reader:
    """Turns mappings into configuration sections and collects every problem on the way."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.problems: list[Problem] = []

    def wrong(self, path: tuple[str, ...], message: str) -> None:
        self.problems.append(Problem(path, message))

    def section(self, kind: type[Any], given: Any, path: tuple[str, ...]) -> Any:
        """An instance of a section; what is wrong is noted and left at its default."""
        if not isinstance(given, Mapping):
            self.wrong(path, f"expected a mapping, got {show(given)}")
            return kind()
        defaults: dict[str, Any] = {f.name: f.default for f in fields(kind)}
        options = options_of(kind)
        values: dict[str, Any] = {}
        for key, value in given.items():
            here = (*path, str(key))
            if key not in defaults:
                self.wrong(here, unknown("key", key, defaults))
            elif key in COMPONENTS and kind is RunConfig:
                values[key] = self.component(key, value, defaults[key], here)
            elif is_dataclass(defaults[key]):
                values[key] = self.section(type(defaults[key]), value, here)
            else:
                values.update(self.parsed(options[key], value, here))
        for key in ("metric", "features"):
            table = {"metric": "metrics"}.get(key, key)
            asked = kind is Evaluation and key in values
            if asked and self.known(table, values[key], (*path, key)) is None:
                del values[key]
        return kind(**values)

    def component(self, key: str, given: Any, default: Component, path: tuple[str, ...]) -> Any:
        """A component's name and options; the default where its name is not known."""
        if isinstance(given, str):
            given = {"name": given}
        if not isinstance(given, Mapping):
            self.wrong(path, f"expected a name or a mapping, got {show(given)}")
            return default
        if key == "data":
            given = self.spelled_out(given, path)
        name = given.get("name", default.name)
        entry = self.known(COMPONENTS[key], name, (*path, "name"))
        if entry is None:
            return default
        own = options_of(type(default))
        known = {**entry.options, **own}
        values: dict[str, Any] = {}
        for option, value in given.items():
            if option in known:
                values.update(self.parsed(known[option], value, (*path, option)))
            elif option != "name":
                hint = unknown("option", option, known) if known else "it takes no options"
                self.wrong((*path, str(option)), f"{KINDS[entry.kind]} {name!r}: {hint}")
        for option in entry.options.values():
            if option.default is MISSING and option.name not in given:
                message = f"{KINDS[entry.kind]} {name!r} needs {option.name}: {option.takes}"
                self.wrong(path, message)
        fixed = {option: values.pop(option) for option in own if option in values}
        return type(default)(name=name, options=values, **fixed)

    def spelled_out(self, given: Mapping[str, Any], path: tuple[str, ...]) -> Mapping[str, Any]:
        """`folder:PATH` as the data set `folder` with its option `path`."""
        name = given.get("name")
        if not isinstance(name, str) or not name.startswith("folder:"):
            return given
        if "path" in given:
            self.wrong((*path, "path"), f"the path is given twice, here and in {name!r}")
        name, _, folder = name.partition(":")
        return {**given, "name": name, "path": folder}

    def known(self, kind: str, name: Any, path: tuple[str, ...]) -> Entry | None:
        table = self.catalogue[kind]
        if isinstance(name, str) and name in table:
            return table[name]
        self.wrong(path, self.catalogue.refusal(kind, name))
        return None

    def parsed(self, option: Option, value: Any, path: tuple[str, ...]) -> dict[str, Any]:
        try:
            return {option.name: option.parse(value)}
        except Refused as refused:
            self.wrong(path, str(refused))
            return {}


def _plain(value: Any) -> Any:
    if isinstance(value, Component):
        extra = {k: v for k, v in vars(value).items() if k != "options"}
        return {**extra, **value.options}
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    return value
