"""`python -m sweeps.shares`: one trial's training, measured alone or beside others of its kind.

What to train comes as a line of JSON. A line says what was found before the clock starts; after a
line from outside the steps are timed, and a last line says how fast they were.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def main() -> None:
    """Measures, and says so; what goes wrong is said in a line too."""
    out = os.fdopen(os.dup(1), "w")
    sys.stdout = sys.stderr  # What plug-ins print is no answer of ours.

    def say(**told: Any) -> None:
        print(json.dumps(told), file=out, flush=True)

    from sweeps.failures import reason_of

    asked = json.loads(sys.stdin.readline())
    try:
        with tempfile.TemporaryDirectory() as folder:
            _measure(asked, Path(folder), say)
    except Exception as error:
        say(error=reason_of(error, asked["config"].get("batch")))


def _measure(asked: dict[str, Any], folder: Path, say: Any) -> None:
    import torch

    from gancore.config import RunConfig
    from gancore.systems import Staged
    from gancore.training import train
    from sweeps import plugins
    from sweeps.probe import picture_seconds

    sys.dont_write_bytecode = True  # Nothing is left beside the user's modules.
    plugins.run(tuple(asked["plugins"]), Path(asked["folder"]))
    torch.set_num_threads(max(1, int(asked["cpu"])))
    device = asked["device"]
    training = train(RunConfig.of(asked["config"]), device=device, evaluation=folder)
    if isinstance(training.system, Staged):  # Its last stage is its largest.
        pictures = training.config.epochs * len(training.material.train.images)
        training.system.skip_to([b for b in training.system.stages() if b < pictures][-1])
    picture_seconds(training, seconds=0.0, at_most=sys.maxsize)
    if asked["score"]:
        training.system.passport()
        training.system.score()
    say(**_memory(device))
    if not sys.stdin.readline():
        return
    began = time.perf_counter()
    each = picture_seconds(training, asked["seconds"], at_most=sys.maxsize)
    say(rate=1 / each, seconds=time.perf_counter() - began)


def _memory(device: str) -> dict[str, float]:
    """Gigabytes that the tensors took at most, and those of the GPU; a CPU has none."""
    if device != "cuda":
        return {"peak_gb": 0.0, "total_gb": 0.0}
    import torch

    # Not run by any test: they have no GPU.
    total = torch.cuda.get_device_properties(0).total_memory
    return {"peak_gb": torch.cuda.max_memory_allocated() / 1e9, "total_gb": total / 1e9}


if __name__ == "__main__":
    main()
