"""A small HTTP proxy on loopback before a tracking server, which fails as it is told."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

When = Callable[[str, str], bool]


def _always(_method: str, _path: str) -> bool:
    return True


@dataclass
class _Fault:
    kind: str
    times: int | None
    when: When
    code: int = 0
    headers: tuple[tuple[str, str], ...] = ()


class Proxy:
    """Stands before a server, as a context; `url` is where it listens.

    A fault lasts until `heal`, or for `times` requests; `when(method, path)` chooses among them.
    `requests` is what came: method, path, and what became of it.

    Args:
        target: The server, such as `http://127.0.0.1:5000`.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self.requests: list[tuple[str, str, str]] = []
        self._fault: _Fault | None = None
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._listen(0)
        assert self._server is not None
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.heal(listen=False)
        self.down()

    def down(self) -> None:
        """Nobody listens: connections are refused."""
        self._released.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None

    def answer(
        self,
        code: int,
        *,
        retry_after: int | None = None,
        times: int | None = None,
        when: When = _always,
    ) -> None:
        """Requests are answered with this code and go no further."""
        headers = () if retry_after is None else (("Retry-After", str(retry_after)),)
        self._set(_Fault("answer", times, when, code, headers))

    def hang(self, *, times: int | None = None, when: When = _always) -> None:
        """Requests are read and never answered; `heal` and `down` let go of them."""
        self._set(_Fault("hang", times, when))

    def reset(self, *, times: int | None = None, when: When = _always) -> None:
        """The connection is reset before the request goes further."""
        self._set(_Fault("reset", times, when))

    def cut(self, *, times: int | None = None, when: When = _always) -> None:
        """Half a body gets through: of the request, or where it has none, of the answer."""
        self._set(_Fault("cut", times, when))

    def lose_answer(self, *, times: int | None = None, when: When = _always) -> None:
        """The request gets through whole, and its answer is lost."""
        self._set(_Fault("lose_answer", times, when))

    def heal(self, *, listen: bool = True) -> None:
        """All is well again."""
        with self._lock:
            self._fault = None
        self._released.set()
        if listen and self._server is None:
            self._listen(self.port)

    def _set(self, fault: _Fault) -> None:
        self.heal()
        self._released = threading.Event()
        with self._lock:
            self._fault = fault

    def _listen(self, port: int) -> None:
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def due(self, method: str, path: str) -> _Fault | None:
        """The fault that this request meets, which counts as one of its times."""
        with self._lock:
            fault = self._fault
            if fault is None or not fault.when(method, path):
                return None
            if fault.times is not None:
                fault.times -= 1
                if fault.times == 0:
                    self._fault = None
            return fault

    def note(self, method: str, path: str, what: str) -> None:
        with self._lock:
            self.requests.append((method, path, what))

    def wait_for_release(self) -> None:
        self._released.wait(120)

    def upstream(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._host, self._port, timeout=60)


class _Handler(BaseHTTPRequestHandler):
    owner: Proxy

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""

    def _forward(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        fault = self.owner.due(self.command, self.path)
        kind = fault.kind if fault else "passed"
        self.owner.note(self.command, self.path, kind)
        if fault and kind == "answer":
            self._say(fault.code, fault.headers, b'{"error_code": "PLANTED", "message": "planted"}')
        elif kind == "hang":
            self.owner.wait_for_release()
            self.close_connection = True
        elif kind == "reset":
            self._reset()
        elif kind == "cut" and body:
            self._pass_half(body)
            self._reset()
        else:
            self._pass_on(body, kind)

    def _pass_on(self, body: bytes, kind: str) -> None:
        connection = self.owner.upstream()
        try:
            connection.request(self.command, self.path, body, self._headers())
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if kind == "lose_answer":
            self._reset()
            return
        skipped = ("transfer-encoding", "connection", "content-length")
        headers = tuple((k, v) for k, v in answer.getheaders() if k.lower() not in skipped)
        self._say(answer.status, headers, content, half=kind == "cut")

    def _say(
        self,
        code: int,
        headers: tuple[tuple[str, str], ...],
        content: bytes,
        *,
        half: bool = False,
    ) -> None:
        self.send_response(code)
        for key, value in headers:
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if half else content)
        if half:
            self.close_connection = True

    def _pass_half(self, body: bytes) -> None:
        """The server gets the head and half of what it promises, then an end."""
        with socket.create_connection((self.owner._host, self.owner._port), 60) as server:
            head = f"{self.command} {self.path} HTTP/1.1\r\n"
            head += "".join(f"{k}: {v}\r\n" for k, v in self._headers().items())
            server.sendall(head.encode() + b"\r\n" + body[: len(body) // 2])

    def _headers(self) -> dict[str, str]:
        own = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
        return {**own, "Host": f"{self.owner._host}:{self.owner._port}", "Connection": "close"}

    def _reset(self) -> None:
        """Closes with RST: who reads sees a reset, not an end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True
        # What the base class flushes and closes afterwards must not fail.
        self.wfile = _Nowhere()

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _forward  # noqa: N815


class _Nowhere:
    closed = True

    def flush(self) -> None:
        """Nothing to flush."""

    def close(self) -> None:
        """Nothing to close."""
