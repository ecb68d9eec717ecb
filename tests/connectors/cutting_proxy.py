"""A TCP proxy before a store that does to the next inserts what a test says: cuts them, or answers for the store."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_INSERT = b"insert_deduplication_token"


@dataclass(frozen=True)
class Cut:
    """Cut the connection of the next insert after so many bytes ``to`` the store, or ``back`` from it."""

    to: int | None = None
    back: int | None = None


@dataclass(frozen=True)
class Refusal:
    """Answer the next insert as ClickHouse does that refuses it."""

    code: int
    text: str


@dataclass
class CuttingProxy:
    """Where the proxy listens, and what it is to do to inserts, in order.

    Parameters
    ----------
    target : (str, int)
        The store.
    """

    target: tuple[str, int]
    faults: list[Cut | Refusal] = field(default_factory=list)
    done: list[Cut | Refusal] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        """As the setting ``store``."""
        return f"clickhouse://lander:secret@127.0.0.1:{self.port}/default"

    def serve(self, listener: socket.socket) -> None:
        """Take connections until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(self.target) as server:
            cut = [Cut()]
            back = threading.Thread(target=self._back, args=(client, server, cut), daemon=True)
            back.start()
            left: int | None = None
            while data := client.recv(1 << 16):
                if _INSERT in data and self.faults:
                    fault = self.faults.pop(0)
                    self.done.append(fault)
                    if isinstance(fault, Refusal):
                        self._refuse(client, data, fault)
                        break
                    cut[0], left = fault, fault.to
                if left is not None:
                    server.sendall(data[:left])
                    left -= len(data)
                    if left <= 0:
                        break
                else:
                    server.sendall(data)
            _end(client, server)

    def _back(self, client: socket.socket, server: socket.socket, cut: list[Cut]) -> None:
        with suppress(OSError):
            given = 0
            while data := server.recv(1 << 16):
                limit = cut[0].back
                if limit is not None:
                    client.sendall(data[: max(0, limit - given)])
                    given += len(data)
                    if given >= limit:
                        break
                else:
                    client.sendall(data)
            _end(client, server)

    def _refuse(self, client: socket.socket, data: bytes, fault: Refusal) -> None:
        head, _, body = data.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        missing = int(fields[b"content-length"]) - len(body)
        while missing > 0:
            missing -= len(client.recv(min(missing, 1 << 16)))
        text = f"Code: {fault.code}. DB::Exception: {fault.text}\n".encode()
        client.sendall(
            b"HTTP/1.1 500 Internal Server Error\r\nX-ClickHouse-Exception-Code: %d\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (fault.code, len(text), text)
        )


def _end(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def cutting_proxy(host: str, port: int) -> Iterator[CuttingProxy]:
    """A proxy before a store."""
    proxy = CuttingProxy((host, port))
    listener = socket.create_server(("127.0.0.1", 0))
    proxy.port = listener.getsockname()[1]
    thread = threading.Thread(target=proxy.serve, args=(listener,), daemon=True)
    thread.start()
    yield proxy
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()
