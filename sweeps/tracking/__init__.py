"""MLflow: what a sweep's journal says, told to a tracking store. Nothing else speaks MLflow."""

from sweeps.tracking.address import check_uri, default_uri, redacted
from sweeps.tracking.process import sync
from sweeps.tracking.server import serve
from sweeps.tracking.supervisor import start_uploader, wait
from sweeps.tracking.visit import Visit, visit

__all__ = [
    "Visit",
    "check_uri",
    "default_uri",
    "redacted",
    "serve",
    "start_uploader",
    "sync",
    "visit",
    "wait",
]
