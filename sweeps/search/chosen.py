"""The search of a sweep, where it learns; Optuna and Ray are imported only then."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweeps.results import Results
    from sweeps.search.adaptive import Adaptive
    from sweeps.search.population import Population


def population_of(results: Results) -> Population | None:
    """The population of a sweep that trains one."""
    if results.plan.search.method != "pbt":
        return None
    from sweeps.search.population import Population

    return Population(results.plan, results.folder)


def adaptive_of(results: Results) -> Adaptive | None:
    """What chooses the next trial by the scores of those before, where something does."""
    if results.plan.search.method != "tpe":
        return None
    from sweeps.search.adaptive import Adaptive

    return Adaptive(results)
