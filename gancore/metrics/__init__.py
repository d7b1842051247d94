"""Scores: feature networks, the distances between features, and the protocol of both."""

from gancore.metrics import classifier, frechet, inception
from gancore.metrics.evaluation import Evaluator, Judge, Scored
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
    "Judge",
    "Metric",
    "Passport",
    "Scored",
    "classifier",
    "features",
    "frechet",
    "inception",
    "metrics",
]
