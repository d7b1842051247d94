"""`python -m sweeps.tracking FOLDER`: the uploader of a sweep, as the driver starts it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from sweeps.tracking.address import default_uri
from sweeps.tracking.process import main

parser = argparse.ArgumentParser(prog="python -m sweeps.tracking", description=__doc__)
parser.add_argument("sweep", type=Path, help="the sweep's folder")
parser.add_argument(
    "--tracking-uri",
    default=os.environ.get("MLFLOW_TRACKING_URI"),
    help="the tracking store (default: MLFLOW_TRACKING_URI, or the store beside the sweep)",
)
parser.add_argument(
    "--give-up-after",
    type=float,
    default=60,
    metavar="SECONDS",
    help="how long after the sweep's end a store that does not answer is tried",
)
given = parser.parse_args()
place = given.sweep.resolve()
raise SystemExit(main(place, given.tracking_uri or default_uri(place.parent), given.give_up_after))
