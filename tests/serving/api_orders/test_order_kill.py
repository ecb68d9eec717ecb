"""Killed in the middle of its work, the door has lost nothing that it acknowledged, and doubles nothing."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from connectors.log import open_log
from tests.serving.ordering import order, orders_in

ROOT = Path(__file__).resolve().parents[3]
_SERVER = """
import asyncio, sys
from pathlib import Path
import structlog, uvicorn
from serving.api.app import create_app
from serving.settings import Settings
from tests.serving.api.apps import FixedDoor, principal

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
app = create_app(Settings(home=Path(sys.argv[1])), door=FixedDoor(principal()))

class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        print(self.servers[0].sockets[0].getsockname()[1], flush=True)

Server(uvicorn.Config(app, port=0, log_config=None, lifespan="on")).run()
"""


class Killed:
    """An API in a process of its own, and clients that order as fast as they can."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _SERVER, str(home)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.acknowledged: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self._enough = threading.Event()

    def order(self, client: int, enough: int) -> None:
        """Order one after the other, each fourth time two at once, until the server is gone."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        for number in range(100_000):
            names = [f"{client}-{number}", f"{client}-{number}b"][: 1 + (number % 4 == 0)]
            self.asked += names
            body = [order(name) for name in names]
            try:
                connection.request(
                    "POST", "/v1/orders", json.dumps(body if len(body) > 1 else body[0])
                )
                answer = json.loads(connection.getresponse().read())
            except (OSError, http.client.HTTPException, json.JSONDecodeError):
                connection.close()
                return
            for one in answer.get("orders", [answer]):
                self.acknowledged[one["client_order_id"]] = one
            if len(self.acknowledged) >= enough:
                self._enough.set()

    def kill(self, clients: int, after: int) -> None:
        """SIGKILL, once so many orders were acknowledged."""
        threads = [threading.Thread(target=self.order, args=(one, after)) for one in range(clients)]
        for thread in threads:
            thread.start()
        assert self._enough.wait(120)
        os.kill(self.process.pid, signal.SIGKILL)
        for thread in threads:
            thread.join()
        self.close()

    def close(self) -> None:
        """Wait for its end."""
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def test_every_acknowledged_order_is_in_the_log_after_a_kill(tmp_path: Path) -> None:
    killed = Killed(tmp_path)
    killed.kill(clients=6, after=60)
    with open_log(f"sqlite:///{tmp_path / 'log.db'}") as log:
        rows = {row["client_order_id"]: row for row in orders_in(log)}
        assert len(rows) == len(orders_in(log))
    assert set(killed.acknowledged) <= set(rows) <= set(killed.asked)
    for name, answer in killed.acknowledged.items():
        partition, offset, number = rows[name]["place"]
        assert answer["position"] == f"{partition}:{offset}.{number}"
        assert answer["order_id"] == rows[name]["order_id"]
    again = Killed(tmp_path)
    try:
        _retry_all(again, killed)
    finally:
        again.process.terminate()
        again.close()
    with open_log(f"sqlite:///{tmp_path / 'log.db'}") as log:
        names = [row["client_order_id"] for row in orders_in(log)]
    assert sorted(names) == sorted(killed.asked)


def _retry_all(again: Killed, killed: Killed) -> None:
    """A client that does not know what became of its orders gives all of them again."""
    connection = http.client.HTTPConnection("127.0.0.1", again.port, timeout=60)
    connection.request("POST", "/v1/orders", json.dumps([order(name) for name in killed.asked]))
    answers = json.loads(connection.getresponse().read())["orders"]
    for one in answers:
        known = killed.acknowledged.get(one["client_order_id"])
        assert known is None or known["position"] == one["position"]
    name, known = next(iter(killed.acknowledged.items()))
    connection.request("GET", f"/v1/orders/{known['order_id']}")
    assert json.loads(connection.getresponse().read())["client_order_id"] == name
    connection.close()
