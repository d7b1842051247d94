"""Scores: feature networks, the distances between features, and the protocol of both."""

from gancore.metrics import classifier, frechet, inception
from gancore.metrics.evaluation import Evaluator
from gancore.metrics.passport import Passport
from gancore.metrics.registry import (
    FeatureNetwork,
    FeatureNetworkUnavailable,
    Metric,
    features,
    metrics,
)

__all__ = [
    "Evaluator",
    "FeatureNetwork",
    "FeatureNetworkUnavailable",
    "Metric",
    "Passport",
    "classifier",
    "features",
    "frechet",
    "inception",
    "metrics",
]
