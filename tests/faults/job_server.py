"""What answers as a cluster's job server does, without Ray."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

TOKEN = "the-right-one" * 4


class Server(http.server.ThreadingHTTPServer):
    """As a job server answers, with a token or without."""

    wants: str | None = TOKEN
    jobs: tuple[dict[str, Any], ...] = ()
    page = False


class Answers(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        shown = self.headers.get("Authorization")
        code = 200
        if self.server.wants is not None and shown != f"Bearer {self.server.wants}":
            code = 403 if shown else 401
        content: Any = {"ray_version": "2.60.0", "version": "4"}
        if self.path == "/api/jobs/":
            content = list(self.server.jobs)
        if self.path.endswith("/logs"):
            content = {"logs": "2026-11-25 18:00:00,1\tINFO job_manager.py:1 -- x\nerror: no\n"}
        body = b"<html>" if self.server.page else json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "text/html" if self.server.page else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def job_server() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def listed(number: int, status: str, code: int | None = None, **more: Any) -> dict[str, Any]:
    noted = {"gansweep.sweep": "question", "gansweep.storage": "/shared/runs"}
    return {
        "type": "SUBMISSION",
        "submission_id": f"question-{number}",
        "status": status,
        "entrypoint": "exec sh start.sh",
        "metadata": noted,
        "start_time": 1_700_000_000_000 + number,
        "driver_exit_code": code,
        **more,
    }
