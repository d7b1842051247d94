"""Scores: feature networks, the distances between features, and the protocol of both."""

from gancore.metrics import (
    classifier,
    extrapolation,
    frechet,
    inception,
    inception_score,
    kernel,
    known_modes,
    manifold,
    memorisation,
    modes,
    own,
)
from gancore.metrics.evaluation import Evaluator, Judge, Scored
from gancore.metrics.feature_set import FeatureSet
from gancore.metrics.passport import Passport
from gancore.metrics.registry import (
    FeatureMetric,
    FeatureNetwork,
    FeatureNetworkUnavailable,
    Metric,
    features,
    metrics,
)

__all__ = [
    "Evaluator",
    "FeatureMetric",
    "FeatureNetwork",
    "FeatureNetworkUnavailable",
    "FeatureSet",
    "Judge",
    "Metric",
    "Passport",
    "Scored",
    "classifier",
    "extrapolation",
    "features",
    "frechet",
    "inception",
    "inception_score",
    "kernel",
    "known_modes",
    "manifold",
    "memorisation",
    "metrics",
    "modes",
    "own",
]
