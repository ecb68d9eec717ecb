"""Alpaca's stream of trade updates ("Websocket Streaming"): connects, signs in, listens, and begins again when lost.

A connection that was lost may have lost updates: after each that is made a `Connected` is put among the
updates, upon which the program asks how its orders stand.
"""

from dataclasses import dataclass
from queue import Queue
from threading import Event, Thread
from typing import Any

import orjson
from websockets.exceptions import InvalidHandshake, InvalidURI, WebSocketException
from websockets.sync.client import ClientConnection, connect

from connectors.backoff import Backoff

PAPER_STREAM_URL = "wss://paper-api.alpaca.markets/stream"

_OPEN_S = 10.0
_POLL_S = 0.2
_FIRST_S, _MOST_S = 0.25, 30.0
# More than an account's updates in minutes; the program reads them all the while.
_BUFFERED = 100_000


@dataclass(frozen=True)
class Connected:
    """The stream listens from here on."""


@dataclass(frozen=True)
class Refused:
    """The broker does not let us in; trying again mends nothing."""

    words: str


Update = dict[str, Any] | Connected | Refused


class AlpacaStream:
    """Puts trade updates into a queue, in a thread of its own, until told to stop.

    Parameters
    ----------
    url : str
        Of the stream.
    key, secret : str
        Of the account.
    stop : threading.Event
        Set it to end.
    seed : int
        Of the waits.
    """

    def __init__(self, url: str, key: str, secret: str, stop: Event, seed: int) -> None:
        self.updates: Queue[Update] = Queue(_BUFFERED)
        self._url = url
        self._login = {"action": "auth", "key": key, "secret": secret}
        self._stop = stop
        self._seed = seed
        self._thread = Thread(target=self._run, name="alpaca-stream", daemon=True)

    def start(self) -> None:
        """Connect."""
        self._thread.start()

    def join(self) -> None:
        """Wait for the end; ``stop`` is set."""
        self._thread.join()

    def _run(self) -> None:
        backoff = Backoff(first_s=_FIRST_S, most_s=_MOST_S, seed=self._seed)
        while not self._stop.is_set():
            try:
                with connect(self._url, open_timeout=_OPEN_S, close_timeout=1.0) as connection:
                    if not self._listens(connection):
                        return
                    backoff.reset()
                    self.updates.put(Connected())
                    self._receive(connection)
            except (OSError, TimeoutError, InvalidHandshake, InvalidURI, WebSocketException):
                # Lost or never made: what was missed is asked for once there is another.
                self._stop.wait(backoff.next_s())

    def _listens(self, connection: ClientConnection) -> bool:
        connection.send(orjson.dumps(self._login).decode())
        told = _message(connection.recv(timeout=_OPEN_S))
        if told.get("data", {}).get("status") != "authorized":
            self.updates.put(Refused(f"it answers {told.get('data')}"))
            return False
        listen = {"action": "listen", "data": {"streams": ["trade_updates"]}}
        connection.send(orjson.dumps(listen).decode())
        while _message(connection.recv(timeout=_OPEN_S)).get("stream") != "listening":
            pass
        return True

    def _receive(self, connection: ClientConnection) -> None:
        while not self._stop.is_set():
            try:
                message = _message(connection.recv(timeout=_POLL_S))
            except TimeoutError:
                continue
            if message.get("stream") == "trade_updates":
                self.updates.put(message["data"])


def _message(payload: str | bytes) -> dict[str, Any]:
    # The paper account's come in binary frames, the other's as text; both are JSON.
    told = orjson.loads(payload)
    return told if isinstance(told, dict) else {}
