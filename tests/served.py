"""MLflow's pages as `gansweep ui` serves them, for as long as a test needs them."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CODE = "import sys, pathlib, sweeps.tracking as t; t.serve(pathlib.Path(sys.argv[1]))"


@contextmanager
def served(storage: Path) -> Iterator[str]:
    """The address that it says; it ends as by Ctrl-C, and in order."""
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, str(storage)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout as said:
        yield next(word for word in said.readline().split() if word.startswith("http"))
        process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
