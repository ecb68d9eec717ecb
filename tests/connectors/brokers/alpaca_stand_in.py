"""A stand-in for Alpaca's trading API on loopback: orders over HTTP, trade updates over WebSocket, both as documented."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

KEY, SECRET = "key", "secret"
Answer = tuple[int, dict[str, str], Any]


class StandIn:
    """An account.

    Attributes
    ----------
    orders : dict
        By Alpaca's identifier, as the API shows them.
    asked : list of tuple
        Method, path and body of each request.
    faults : list of tuple
        Status and headers of answers in place of the next ones.
    on_order : callable
        Called when a new order was taken, before it is answered.
    """

    def __init__(self) -> None:
        self.orders: dict[str, dict[str, Any]] = {}
        self.activities: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str, Any]] = []
        self.faults: list[tuple[int, dict[str, str]]] = []
        self.refuses: str | None = None
        self.on_order: Callable[[], None] = lambda: None
        self.connections: list[ServerConnection] = []
        self.changed = threading.Condition()
        self._clock = 0

    @contextmanager
    def running(self) -> Iterator["StandIn"]:
        """Serve in threads of its own."""
        account = self

        class Handler(BaseHTTPRequestHandler):
            def _do(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                signed = self.headers.get("APCA-API-KEY-ID") == KEY
                signed = signed and self.headers.get("APCA-API-SECRET-KEY") == SECRET
                answer = account.answer(self.command, self.path, body) if signed else (401, {}, {})
                status, headers, told = answer
                data = b"" if told is None else json.dumps(told).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self._do
                raise AttributeError(name)

            def log_message(self, *_: object) -> None:
                """Silence."""

        http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        http.daemon_threads = True
        stream = serve(self._stream, "127.0.0.1", 0, close_timeout=0.2)
        threads = [threading.Thread(target=one.serve_forever) for one in (http, stream)]
        for thread in threads:
            thread.start()
        self.url = f"http://127.0.0.1:{http.server_address[1]}"
        self.stream_url = f"ws://127.0.0.1:{stream.socket.getsockname()[1]}/stream"
        try:
            yield self
        finally:
            self.cut()
            stream.shutdown()
            http.shutdown()
            http.server_close()
            for thread in threads:
                thread.join(10)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Until something is so, ten seconds at most."""
        with self.changed:
            assert self.changed.wait_for(condition, 10), "it did not come to it"

    @property
    def by_name(self) -> dict[str, dict[str, Any]]:
        """Orders by our names."""
        return {order["client_order_id"]: order for order in self.orders.values()}

    def fill(self, name: str, quantity: str, price: str) -> None:
        """Fill an order, in whole or in part."""
        order = self.by_name[name]
        filled = Decimal(order["filled_qty"]) + Decimal(quantity)
        order["filled_qty"] = str(filled)
        whole = filled == Decimal(order["qty"])
        order["status"] = "filled" if whole else "partially_filled"
        number = len(self.activities)
        self.activities.append(
            {
                "id": f"{number:020}::execution-{number}",
                "activity_type": "FILL",
                "type": "fill" if whole else "partial_fill",
                "order_id": order["id"],
                "cum_qty": str(filled),
                "qty": quantity,
                "price": price,
                "transaction_time": self._time(),
            }
        )
        event = "fill" if whole else "partial_fill"
        self.tell(event, order, qty=quantity, price=price, execution_id=f"execution-{number}")

    def end(self, name: str, status: str) -> None:
        """End an order."""
        order = self.by_name[name]
        order["status"] = status
        self.tell(status, order)

    def tell(self, event: str, order: dict[str, Any], **more: Any) -> None:
        """Put an update on the stream; the paper account's frames are binary."""
        told = {"event": event, "order": dict(order), "timestamp": self._time(), **more}
        frame = json.dumps({"stream": "trade_updates", "data": told}).encode()
        for connection in list(self.connections):
            with suppress(ConnectionClosed):
                connection.send(frame)

    def cut(self) -> None:
        """End all connections of the stream without a word."""
        for connection in list(self.connections):
            connection.socket.close()
        self.connections.clear()

    def answer(self, method: str, path: str, body: Any) -> Answer:
        """The answer to a request."""
        with self.changed:
            self.asked.append((method, path, body))
            fault = self.faults.pop(0) if self.faults else None
            self.changed.notify_all()
        if fault is not None:
            return (*fault, {"message": "fault"})
        parts = urlsplit(path)
        if method == "POST":
            found = self.new(body)
            self.on_order()
        elif parts.path == "/v2/orders:by_client_order_id":
            order = self.by_name.get(parse_qs(parts.query)["client_order_id"][0])
            found = (404, {}, {"message": "order not found"}) if order is None else (200, {}, order)
        elif parts.path == "/v2/account/activities/FILL":
            found = 200, {}, self._page(parse_qs(parts.query))
        else:
            found = self._of_order(method, parts.path.rpartition("/")[2], body)
        with self.changed:
            self.changed.notify_all()
        return found

    def new(self, terms: dict[str, Any], replaces: str | None = None) -> Answer:
        """A new order, of ours or by hand."""
        if terms["client_order_id"] in self.by_name:
            return 422, {}, {"code": 40010001, "message": "client_order_id must be unique"}
        if self.refuses is not None:
            return 403, {}, {"code": 40310000, "message": self.refuses}
        order_id = f"alpaca-{len(self.orders)}"
        order = {"limit_price": None} | terms
        order |= {"id": order_id, "status": "new", "filled_qty": "0", "replaced_by": None}
        order |= {"created_at": self._time(), "replaces": replaces}
        self.orders[order_id] = order
        self.tell("new", order)
        return 200, {}, order

    def _of_order(self, method: str, order_id: str, body: Any) -> Answer:
        order = self.orders.get(order_id)
        if order is None:
            return 404, {}, {"message": "order not found"}
        if method == "GET":
            return 200, {}, order
        if order["status"] not in ("new", "partially_filled"):
            return 422, {}, {"message": f"order is already {order['status']}"}
        if method == "DELETE":
            order["status"] = "canceled"
            self.tell("canceled", order)
            return 204, {}, None
        status, headers, other = self.new({**order, **body}, replaces=order_id)
        order |= {"status": "replaced", "replaced_by": other["id"]}
        self.tell("replaced", order)
        return status, headers, other

    def _page(self, query: dict[str, list[str]]) -> list[dict[str, Any]]:
        after, size = query["after"][0], int(query["page_size"][0])
        token = query.get("page_token", [""])[0]
        later = [
            one for one in self.activities if one["transaction_time"] > after and one["id"] > token
        ]
        return later[:size]

    def _stream(self, connection: ServerConnection) -> None:
        login = json.loads(connection.recv())
        status = "authorized" if login.get("key") == KEY else "unauthorized"
        told = {"stream": "authorization", "data": {"status": status, "action": "authenticate"}}
        connection.send(json.dumps(told).encode())
        if status != "authorized":
            return
        streams = json.loads(connection.recv())["data"]["streams"]
        connection.send(json.dumps({"stream": "listening", "data": {"streams": streams}}).encode())
        with self.changed:
            self.connections.append(connection)
            self.changed.notify_all()
        with suppress(ConnectionClosed, OSError):
            connection.recv()

    def _time(self) -> str:
        self._clock += 1
        return f"2026-01-05T15:{self._clock // 60:02}:{self._clock % 60:02}.000000Z"
