"""What the numbers of a trial depend on beside its values, and whether two attempts share it."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sweeps.journal import Record
from sweeps.plan import Trial
from sweeps.results import Results

if TYPE_CHECKING:
    import torch


def made_with(
    trial: Trial, device: torch.device | str, versions: Mapping[str, Any]
) -> dict[str, Any]:
    """What the journal says of an attempt, to be held against that of the next one."""
    import torch

    kind = torch.device(device).type
    return {
        "versions": versions,
        "hardware": torch.cuda.get_device_name(device) if kind == "cuda" else kind,
        "config_digest": config_digest(trial),
    }


def config_digest(trial: Trial) -> str:
    """Hex digest of what a trial trains with; for how long may be extended."""
    runs = [*trial.before, (0, trial.config)]
    text = json.dumps([(until, {**run, "epochs": 0}) for until, run in runs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def differences(starts: Sequence[Record], now: Mapping[str, Any]) -> list[str]:
    """In what an attempt differs from the one before, which it goes on from."""
    if not starts:
        return []
    before, after = _facts(starts[-1]), _facts(now)
    return [
        "another configuration" if key == "config_digest" else f"{key} {before[key]} to {value}"
        for key, value in after.items()
        if key in before and before[key] != value
    ]


def _facts(attempt: Mapping[str, Any]) -> dict[str, Any]:
    own = {key: attempt[key] for key in ("hardware", "config_digest") if key in attempt}
    return {**attempt.get("versions", {}), **own}


def attempts(results: Results) -> dict[str, int]:
    """How many attempts each trial has had."""
    return {uid: len(result.starts) for uid, result in results.trials.items()}


def warn(results: Results, before: Mapping[str, int]) -> None:
    """Says in one line which trials have gone on under other conditions than they began under.

    Args:
        before: The attempts that there were when this run of the sweep began.
    """
    found: Counter[str] = Counter()
    trials = 0
    for uid, result in results.trials.items():
        new = [d for start in result.starts[before.get(uid, 0) :] for d in start.get("differs", [])]
        found.update(dict.fromkeys(new, 1))
        trials += bool(new)
    if found:
        each = "; ".join(f"{difference} ({count})" for difference, count in found.items())
        print(
            f"warning: {trials} trial(s) went on under other conditions, so that what they report "
            f"since is not what it would have been, if only in its last bits: {each}",
            file=sys.stderr,
        )
