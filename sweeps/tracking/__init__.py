"""MLflow: what a sweep's journal says, told to a tracking store. Nothing else speaks MLflow."""

from sweeps.tracking.address import check_uri, default_uri, redacted
from sweeps.tracking.process import sync
from sweeps.tracking.server import serve
from sweeps.tracking.supervisor import start_uploader, wait

__all__ = ["check_uri", "default_uri", "redacted", "serve", "start_uploader", "sync", "wait"]
