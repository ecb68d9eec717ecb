"""Alpaca's trading REST API, as far as orders need it: "Trading API", orders and account activities.

What can be asked again is: too many requests (429) wait as long as the answer says, faults of the broker's own (5xx)
and lost connections wait longer each time. A new order carries its ``client_order_id``, which Alpaca takes once, so
that asking again never orders twice. What the broker refuses is a `RefusalError`.
"""

from threading import Event
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import urllib3

from connectors.backoff import Backoff

PAPER_URL = "https://paper-api.alpaca.markets"

# A page of account activities; Alpaca's most.
PAGE = 100

_TIMEOUT_S = 10.0
_FIRST_S, _MOST_S = 0.25, 30.0
_TOO_MANY = 429
_FAULT = 500
_NOT_FOUND = 404
_REFUSED = 400
# A longer wait is a mistake of the answer.
_RETRY_MOST_S = 300.0
_DIGITS_MOST = 4


class RefusalError(RuntimeError):
    """The broker refuses what was asked; its status and its words."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"status {status}: {words}")
        self.status = status
        self.words = words


class StoppedError(RuntimeError):
    """The program was told to end while it was trying again."""


class AlpacaRest:
    """Asks Alpaca.

    Parameters
    ----------
    url : str
        Where, without path.
    key, secret : str
        Of the account.
    stop : threading.Event
        Set it to end what is being tried again.
    seed : int
        Of the waits.
    """

    def __init__(self, url: str, key: str, secret: str, stop: Event, seed: int) -> None:
        self._url = url.rstrip("/")
        self._headers = {"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret}
        self._stop = stop
        self._seed = seed
        self._pool = urllib3.PoolManager(timeout=_TIMEOUT_S, retries=False)

    def new(self, terms: dict[str, Any]) -> dict[str, Any]:
        """Send an order; one that was sent already is found by its ``client_order_id``."""
        try:
            sent: dict[str, Any] = self._ask("POST", "/v2/orders", terms)
        except RefusalError:
            found = self.by_client_order_id(terms["client_order_id"])
            if found is None:
                raise
            return found
        return sent

    def replace(self, order_id: str, terms: dict[str, Any]) -> dict[str, Any]:
        """Replace an order: the answer is another one, with another identifier."""
        other: dict[str, Any] = self._ask("PATCH", f"/v2/orders/{quote(order_id)}", terms)
        return other

    def cancel(self, order_id: str) -> None:
        """Ask for a cancellation."""
        self._ask("DELETE", f"/v2/orders/{quote(order_id)}", None)

    def by_client_order_id(self, client_order_id: str) -> dict[str, Any] | None:
        """An order by the name that we gave it; None if there is none."""
        query = urlencode({"client_order_id": client_order_id})
        return self._found(f"/v2/orders:by_client_order_id?{query}")

    def order(self, order_id: str) -> dict[str, Any] | None:
        """An order by the name that Alpaca gave it; None if there is none."""
        return self._found(f"/v2/orders/{quote(order_id)}")

    def fills(self, after: str) -> list[dict[str, Any]]:
        """All fills of the account after a time (RFC 3339), oldest first."""
        found: list[dict[str, Any]] = []
        token = ""
        while True:
            asked = {"after": after, "direction": "asc", "page_size": PAGE}
            query = urlencode(asked | ({"page_token": token} if token else {}))
            page = self._ask("GET", f"/v2/account/activities/FILL?{query}", None)
            found += page
            if len(page) < PAGE:
                return found
            token = page[-1]["id"]

    def _found(self, path: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._ask("GET", path, None)
        except RefusalError as refusal:
            if refusal.status == _NOT_FOUND:
                return None
            raise
        return found

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        """Ask until there is an answer.

        Raises
        ------
        RefusalError
            For an answer of status 4xx but 429.
        StoppedError
            Where the program is to end before there is one.
        """
        backoff = Backoff(first_s=_FIRST_S, most_s=_MOST_S, seed=self._seed)
        headers = self._headers | ({"Content-Type": "application/json"} if body else {})
        data = None if body is None else orjson.dumps(body)
        while True:
            wait_s = 0.0
            try:
                answer = self._pool.request(method, self._url + path, body=data, headers=headers)
            except urllib3.exceptions.HTTPError:
                # Whether it got through is not known; it is asked again under the same name.
                wait_s = backoff.next_s()
            else:
                if answer.status == _TOO_MANY:
                    wait_s = _retry_after(answer) or backoff.next_s()
                elif answer.status >= _FAULT:
                    wait_s = backoff.next_s()
                elif answer.status >= _REFUSED:
                    raise RefusalError(answer.status, _words(answer.data))
                else:
                    return orjson.loads(answer.data) if answer.data else None
            if self._stop.wait(wait_s):
                raise StoppedError(f"{method} {path} had no answer before the end")


def _retry_after(answer: urllib3.BaseHTTPResponse) -> float:
    text = answer.headers.get("Retry-After", "")
    return (
        min(float(text), _RETRY_MOST_S) if text.isdecimal() and len(text) <= _DIGITS_MOST else 0.0
    )


def _words(data: bytes) -> str:
    try:
        told = orjson.loads(data)
    except orjson.JSONDecodeError:
        return data[:200].decode(errors="replace")
    return str(told.get("message", told)) if isinstance(told, dict) else str(told)
