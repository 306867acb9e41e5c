"""A TCP proxy that can be cut: connections that go through it are reset, and new ones are as soon as they are made."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST
_CHUNK_BYTES = 1 << 16


class Proxy:
    """Listens from its making on; what it leads to need not be there yet."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._is_cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    @contextmanager
    def cut(self) -> Iterator[None]:
        """An outage, for as long as the context lasts."""
        with self._lock:
            self._is_cut = True
            for connection in self._open:
                _reset(connection)
            self._open.clear()
        try:
            yield
        finally:
            with self._lock:
                self._is_cut = False

    def close(self) -> None:
        self._listener.close()
        with self.cut():
            pass

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                near, _ = self._listener.accept()
                self._connect(near)

    def _connect(self, near: socket.socket) -> None:
        with self._lock:
            try:
                far = None if self._is_cut else socket.create_connection(self._target)
            except OSError:
                far = None
            if far is None:
                _reset(near)
                return
            self._open |= {near, far}
        for source, sink in ((near, far), (far, near)):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK_BYTES):
                sink.sendall(data)
        with self._lock:
            for each in (source, sink):
                self._open.discard(each)
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.shutdown(socket.SHUT_RDWR)  # wakes who reads from it
        connection.close()
