"""`gansweep evaluate`: every score of a checkpoint, with intervals and what real ones score."""

from __future__ import annotations

import json
import math
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gancore.catalogue import Catalogue
from gancore.config import RunConfig, score_name
from gancore.contradictions import contradictions
from gancore.errors import Unavailable
from gancore.files import write_json
from gancore.schema import unknown
from sweeps import bucket, plugins, trust
from sweeps.errors import EnvironmentTrouble, UserError
from sweeps.folder import trial_folder
from sweeps.plan import Plan
from sweeps.samples import checkpoint_of
from sweeps.tracking.description import EVALUATIONS
from sweeps.trial import versions
from sweeps.version import code_version

if TYPE_CHECKING:
    import torch

    from gancore.data import Pictures
    from gancore.metrics import Evaluator, FeatureSet
    from gancore.metrics.evaluation import Draw
    from gancore.systems import Material, System

SAMPLES = 10_000
LEVEL = 0.95
"""Of the intervals."""

REPEATS, WIDE_REPEATS = 200, 20
WIDE = 512

_FLAGS = {
    "evaluation.metric": "--metric",
    "evaluation.features": "--features",
    "evaluation.samples": "--samples",
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What an evaluation is to find, and by what protocol.

    Args:
        samples: Pictures to draw; None takes `SAMPLES`, and of a translator a translation of each
            test picture if they are fewer.
        features: The feature network; None takes the run's.
        inception_weights: File of `inception`; None takes the run's.
        metrics: Scores by name, those of the system included; none takes all that there are.
        repeats: How often the pictures are split for an interval (see `gancore.metrics.estimates`);
            None takes 200, or 20 where features have over 512 numbers and a split costs seconds.
        seed: Of latents and splits. Whatever it is, the latents are others than those by which
            the run chose its best epoch.
    """

    samples: int | None = None
    features: str | None = None
    inception_weights: str | None = None
    metrics: tuple[str, ...] = ()
    repeats: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Evaluated:
    """An evaluation that has been written.

    Args:
        path: The file, in the trial's folder.
        facts: What it says; `scores` has a row a score, a number that is not finite being None.
    """

    path: Path
    facts: dict[str, Any]


def evaluate(place: Path, uid: str | None, epoch: int | None, asked: Asked) -> Evaluated:
    """Draws pictures from a checkpoint of a trial and scores them in every way there is.

    Args:
        uid: The trial; None takes the best of the sweep.
        epoch: Of the checkpoint; None takes the trial's best.

    Raises:
        UserError: No such trial, epoch, metric or feature network, or they do not go together.
        EnvironmentTrouble: The checkpoint is damaged, or pictures or weights are missing.
    """
    path = checkpoint_of(place, uid, epoch)
    uid = path.parents[1].name
    plan = Plan.read(place)
    trust.check(place)
    plugins.run(plan.plugins, place / trust.PLUGINS)
    try:
        config = _config(RunConfig.of(plan.trial(uid).config), asked)
        from gancore.metrics.moments import NoScore, TooFew
        from gancore.training import DamagedCheckpoint

        try:
            found = _Measurement(place, path, config, asked).facts()
        except DamagedCheckpoint as damaged:
            raise EnvironmentTrouble(str(damaged)) from None
        except NoScore as error:
            flag = "--samples" if isinstance(error, TooFew) else "--metric"
            raise UserError(f"{flag}: {error}") from None
    except Unavailable as missing:
        hint = " (here: --inception-weights PATH)" if "inception_weights" in str(missing) else ""
        raise EnvironmentTrouble(f"{missing}{hint}") from None
    chosen = config.evaluation
    name = f"{path.stem}-{chosen.samples}-{chosen.features}-seed{asked.seed}.json"
    facts = {"sweep": place.name, "trial": uid, **found}
    kept = _keep(trial_folder(place, uid) / EVALUATIONS / name, facts)
    bucket.of(place).push(kept.path)
    return kept


def _config(config: RunConfig, asked: Asked) -> RunConfig:
    """The run, scored as it is asked for.

    Raises:
        UserError: In the words of the options, every problem a line.
    """
    catalogue, own = Catalogue.read(), config.evaluation
    features = asked.features or own.features
    wrong = [
        f"--metric: {unknown('metric', name, catalogue['metrics'])}"
        for name in asked.metrics
        if name not in catalogue["metrics"]
    ]
    if features not in catalogue["features"]:
        wrong.append(f"--features: {unknown('feature network', features, catalogue['features'])}")
    if asked.inception_weights and features != "inception":
        wrong.append(f"--inception-weights: the feature network is {features!r}")
    if wrong:
        raise UserError("\n".join(wrong))
    evaluation = replace(
        own,
        samples=_samples(config, asked, catalogue),
        features=features,
        inception_weights=asked.inception_weights or own.inception_weights,
    )
    # The objective may ask for what another feature network lacks; nobody asked for it here.
    runs = [
        replace(config, evaluation=replace(evaluation, metric=name))
        for name in asked.metrics or ("fid",)
    ]
    problems = [problem for run in runs for problem in contradictions(run, catalogue)]
    if problems:
        told = ((".".join(problem.path), problem.message) for problem in problems)
        lines = [f"{_FLAGS.get(key, key)}: {message}" for key, message in told]
        raise UserError("\n".join(dict.fromkeys(lines)))
    return replace(config, evaluation=evaluation)


def _samples(config: RunConfig, asked: Asked, catalogue: Catalogue) -> int:
    """How many pictures to draw: a translator makes one of each test picture, and no more."""
    if not catalogue["systems"][config.system.name].facts.get("domains"):
        return asked.samples or SAMPLES
    from gancore.data import domain, load

    there = len(domain(load(config.data, "test"), 0).images)
    if (asked.samples or 0) > there:
        raise UserError(f"--samples: there are {there} test pictures to translate")
    return asked.samples or min(there, SAMPLES)


class _Measurement:
    """One checkpoint on the device where it is scored.

    Args:
        path: The checkpoint.
        config: The run, scored as it is asked for.
    """

    def __init__(self, place: Path, path: Path, config: RunConfig, asked: Asked) -> None:
        import torch

        from gancore.systems import Material
        from gancore.training.checkpoint import load, restored

        self.path = path
        self.config = config
        self.asked = asked
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        checkpoint = load(path, self.device)
        self.material: Material = Material(
            config, self.device, evaluation=place / "evaluation", shape=checkpoint.shape
        )
        self.system: System = restored(checkpoint, self.material)
        self.metrics = Catalogue.read()["metrics"]

    def facts(self) -> dict[str, Any]:
        """Scores with their intervals, and all that they rest on."""
        asked, evaluator = self.asked, self._evaluator()
        held_out = _rows(evaluator, self._test(), evaluator.passport.generated)
        rows = {**self._of_features(evaluator, held_out), **self._own(evaluator.passport.metric)}
        now, passport = time.time_ns() // 1_000_000, evaluator.passport
        return {
            "epoch": int(self.path.stem.removeprefix("epoch-")),
            "checkpoint": json.loads(self.path.with_suffix(".json").read_text())["sha256"],
            "seed": asked.seed,
            "level": LEVEL,
            "passport": passport.as_mapping(),
            "passport_digest": passport.digest,
            "reference": {"split": "test", "pictures": held_out.moments.count},
            "device": str(self.device),
            "code_version": code_version(),
            "versions": versions(),
            "scores": {name: {**row, "time_ms": now} for name, row in rows.items()},
        }

    def _evaluator(self) -> Evaluator:
        """The protocol by which the system is scored; that of the training split by itself."""
        own = getattr(self.system, "evaluator", self.material.judge.evaluator)
        evaluator: Evaluator = own()
        return evaluator

    def _of_features(self, evaluator: Evaluator, held_out: FeatureSet) -> dict[str, Any]:
        """A row for each score of features that is asked for, or that the network can give."""
        from gancore.metrics.estimates import estimates
        from gancore.metrics.evaluation import feature_metric
        from gancore.metrics.moments import NoScore

        asked = self.asked
        names = [name for name in asked.metrics if "system" not in self.metrics[name].facts]
        if asked.metrics and not names:
            return {}
        generated = evaluator.features(self._draw(evaluator.passport.generated))
        repeats = asked.repeats or (WIDE_REPEATS if generated.rows.shape[1] > WIDE else REPEATS)
        found = estimates(
            evaluator.real,
            generated,
            names or None,
            repeats=repeats,
            level=LEVEL,
            seed=asked.seed,
        )
        rows = {}
        for name, estimate in found.items():
            reference = math.nan
            with suppress(NoScore):
                reference = feature_metric(name).score(evaluator.real, held_out)
            rows[score_name(name, evaluator.passport.generated)] = {
                "metric": name,
                "goal": self._goal(name),
                "value": _finite(estimate.value),
                "low": _finite(estimate.low),
                "high": _finite(estimate.high),
                "repeats": repeats,
                "reference": _finite(reference),
            }
        return rows

    def _own(self, objective: str) -> dict[str, Any]:
        """A row for each number that the system has of itself, found as in its run."""
        asked, name = self.asked.metrics, self.config.system.name
        own = {key for key, entry in self.metrics.items() if name in entry.facts.get("system", ())}
        if not own or (asked and not own & set(asked)):
            return {}
        scored = self.system.score()
        return {
            key: {"metric": key, "goal": self._goal(key), "value": _finite(value)}
            for key, value in {**scored.scores, **scored.statistics}.items()
            if (key in asked if asked else key != objective)
        }

    def _goal(self, metric: str) -> str | None:
        entry = self.metrics.get(metric)
        return str(entry.facts["goal"]) if entry else None

    def _draw(self, count: int) -> Draw:
        from gancore import seeds

        random = seeds.stream(self.asked.seed, "evaluate")
        if not getattr(self.system, "domains", False):
            return lambda size: self.system.sample(size, random)
        # Drawn at once, since only within one draw no test picture is translated twice.
        waiting = self.system.sample(count, random)

        def draw(size: int) -> torch.Tensor:
            nonlocal waiting
            part, waiting = waiting[:size], waiting[size:]
            return part

        return draw

    def _test(self) -> Pictures:
        """Test pictures of the kind that is generated: of two domains, those of B."""
        from gancore.data import domain

        both = self.material.test
        return domain(both, 1) if getattr(self.system, "domains", False) else both


def _rows(evaluator: Evaluator, pictures: Pictures, count: int) -> FeatureSet:
    """The features of at most `count` real pictures, drawn from all of a split."""
    import torch

    from gancore import seeds
    from gancore.metrics import FeatureSet

    found = evaluator.judge.real(pictures, evaluator.passport.resolution)
    if count >= found.moments.count:
        return found
    order = torch.randperm(len(found.rows), generator=seeds.stream(0, "held out"))
    chosen = order[:count].to(found.rows.device)
    logits, modes = (None if of is None else of[chosen] for of in (found.logits, found.modes))
    return FeatureSet.of(found.rows[chosen], logits, modes, found.mode_count)


def _keep(path: Path, facts: dict[str, Any]) -> Evaluated:
    """Writes an evaluation, and keeps what an earlier one of the same protocol says beside it.

    A score that was found again, equal in every digit, keeps its time: MLflow has it already.
    """
    before: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        before = json.loads(path.read_text(encoding="utf-8"))
    scores: dict[str, Any] = dict(facts["scores"])
    if all(before.get(key) == value for key, value in facts.items() if key != "scores"):
        for name, row in before["scores"].items():
            again = {**scores.get(name, row), "time_ms": row["time_ms"]}
            scores[name] = row if again == row else scores[name]
    facts = {**facts, "scores": scores}
    write_json(path, facts)
    return Evaluated(path, facts)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
