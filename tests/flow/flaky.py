"""A proxy in front of the API that spoils some requests: with 503, and with connections that are reset (C94)."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import httpx

Fault = Literal["503", "reset"]


@contextmanager
def flaky(api: str, faults: list[Fault]) -> Iterator[str]:
    """Its address. Each GET of an analysis uses up the next of `faults`; after the last one all is well."""

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fault = faults.pop(0) if faults and "/analyses/" in self.path else None
            if fault == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()
            elif fault == "503":
                self._answer(503, b'{"detail": "The database is away."}', {})
            else:
                found = httpx.get(api + self.path, headers={**self.headers, "Accept-Encoding": "identity"})
                self._answer(found.status_code, found.content, {"ETag": found.headers.get("etag", "")})

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 304:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if status != 304:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Silent."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """The connections that are reset here are meant to be."""

    server = Server(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
