"""Three ways to stand between a client and its server and do it harm: gRPC calls, HTTP requests, connections.

Each counts what reaches it, so that a test can say how often something was tried.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import requests

HOST = "127.0.0.1"
NO_DEADLINE_S = 1e9
"""gRPC's Python server gives the greatest number of 64 bits for a call without one, and its client refuses that."""


@dataclass(frozen=True)
class Fault:
    """One request's: wait, then answer with `code` in the place of the server, whose effect `after` lets happen.

    `code` is a gRPC status or an HTTP one; None lets the answer through; "reset" breaks the connection (HTTP), and
    "half" does so in the middle of the answer.
    """

    code: Any = None
    after: bool = False
    wait_s: float = 0.0


class Faults:
    """By call (the method's last name, or the HTTP verb): faults for the next ones, and how many there were."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self._next: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self.ended = threading.Event()  # nothing waits any longer

    def plan(self, call: str, *faults: Fault) -> None:
        """For the next calls of that name, one each; forgets those planned before, and the count."""
        self._next[call] = deque(faults)
        self.calls[call] = 0

    def met(self, call: str) -> Fault:
        self.calls[call] += 1
        return self._next[call].popleft() if self._next[call] else Fault()


# -- gRPC ---------------------------------------------------------------------------------------------------------


class GrpcProxy(grpc.GenericRpcHandler):
    """Passes every method through as bytes: to a server, a unary call is a stream of one message."""

    def __init__(self, target: str) -> None:
        self.faults = Faults()
        self._channel = grpc.insecure_channel(target)
        self._server = grpc.server(ThreadPoolExecutor(32), handlers=[self])
        self.address = f"{HOST}:{self._server.add_insecure_port(f'{HOST}:0')}"
        self._server.start()

    def service(self, details: Any) -> Any:
        return grpc.stream_stream_rpc_method_handler(
            lambda sent, context: self._pass_on(details.method, details.invocation_metadata, sent, context)
        )

    def _pass_on(self, method: str, metadata: Any, sent: Iterator[bytes], context: Any) -> Iterator[bytes]:
        fault = self.faults.met(method.rpartition("/")[2])
        self.faults.ended.wait(fault.wait_s)
        if fault.code and not fault.after:
            context.abort(fault.code, "planned")
        left = context.time_remaining()
        call = self._channel.stream_stream(method)(
            sent, timeout=left if left < NO_DEADLINE_S else None,
            metadata=[(key, value) for key, value in metadata if key not in ("user-agent", "grpc-accept-encoding")],
        )
        context.add_callback(call.cancel)
        try:
            if fault.code:
                with contextlib.suppress(grpc.RpcError):
                    list(call)
                context.abort(fault.code, "planned")
            yield from call
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())

    def stop(self) -> None:
        self.faults.ended.set()
        self._server.stop(grace=None).wait()
        self._channel.close()


# -- HTTP ---------------------------------------------------------------------------------------------------------


class HttpProxy(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__((HOST, 0), _Request)
        self.target = target
        self.faults = Faults()
        self.address = f"http://{HOST}:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has given up is what these tests are about."""

    def stop(self) -> None:
        self.faults.ended.set()
        self.shutdown()
        self.server_close()


class _Request(BaseHTTPRequestHandler):
    server: HttpProxy
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.faults.met(self.command)
        self.server.faults.ended.wait(fault.wait_s)
        if fault.code == "reset" and not fault.after:
            self.close_connection = True
            return
        if fault.code and not fault.after and fault.code != "half":
            self._answer(fault.code, {}, b'{"error": {"message": "planned"}}')
            return
        headers = {key: value for key, value in self.headers.items() if key.lower() not in ("host", "content-length")}
        got = requests.request(
            self.command, self.server.target + self.path, data=body, headers=headers, allow_redirects=False, timeout=30
        )
        if fault.code == "reset":
            self.close_connection = True
        elif fault.code == "half":
            self._answer(got.status_code, got.headers, got.content, half=True)
        elif fault.code:
            self._answer(fault.code, {}, b'{"error": {"message": "planned"}}')
        else:
            self._answer(got.status_code, got.headers, got.content)

    do_GET = do_POST = do_PUT = do_DELETE = _pass_on

    def _answer(self, status: int, headers: Any, body: bytes, *, half: bool = False) -> None:
        self.send_response(status)
        for key, value in headers.items():
            if key.lower() not in ("content-length", "transfer-encoding", "connection", "content-encoding", "date"):
                self.send_header(key, value.replace(self.server.target, self.server.address))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if half else body)
        self.close_connection = half

    def log_message(self, *_: Any) -> None:
        pass


# -- connections --------------------------------------------------------------------------------------------------


class Wire:
    """Passes bytes to a server; `cut` resets every connection there is."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._open: list[socket.socket] = []
        self._listener = socket.create_server((HOST, 0))
        self.address = f"{HOST}:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        open_ones, self._open = self._open, []
        for each in open_ones:
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a RST, no goodbye
                each.shutdown(socket.SHUT_RD)  # wakes the thread that reads it
            each.close()

    def stop(self) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
