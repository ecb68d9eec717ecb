"""The README's way of an order is walked: sign-in, orders by curl and by its program, a kill in the middle, the proof."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from serving import client
from serving.api.address import running_api
from serving.settings import PREFIX

MINUTES = 60
# With all else that a machine may have to do, what takes a second takes minutes; it is waited for by event.
PATIENCE_S = 15 * MINUTES
SIMULATED, REAL = "SIM001", "IBM"
HOME = ".tapeflow"
T = TypeVar("T")
# One page of orders holds them all.
_PRESSED_MAX = 900

_README = (Path(__file__).resolve().parents[1] / "README.md").read_text()
_ORDERS = _README.split("\n### Orders\n")[1].split("\n### ")[0]
_BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", _ORDERS, re.MULTILINE | re.DOTALL)
LISTING, SIGNING_IN, SIMULATION, FEED, BUYING, PROOF = [
    text for kind, text in _BLOCKS if kind == "sh"
]
(PROGRAM,) = [text for kind, text in _BLOCKS if kind == "python"]
(REAL_HOME,) = re.findall(r"`export TAPEFLOW_HOME=(\S+)`", _ORDERS)


class Desk:
    """What stands under "Orders", done in a folder by somebody with several terminals.

    Parameters
    ----------
    folder : Path
        Where, with nothing in it.
    symbol : str
        What is traded.
    home : str
        The platform's home in that folder.
    """

    def __init__(self, folder: Path, symbol: str, home: str = HOME) -> None:
        self.folder = folder
        self.symbol = symbol
        self.home = folder / home
        kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        kept.pop("COLUMNS", None)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**kept, "PATH": path, "TAPEFLOW_API_PORT": "0"}
        if home != HOME:
            self.environment["TAPEFLOW_HOME"] = home

    @property
    def api(self) -> httpx.Client:
        """A client with the trader's key."""
        address = running_api(self.home)
        assert address is not None
        key = (self.folder / "tess.key").read_text().strip()
        return httpx.Client(base_url=address.url, headers={"X-API-Key": key}, timeout=MINUTES)

    def run(self, block: str, **more: str) -> str:
        """What a block prints; the README trades the simulated symbol."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.replace(SIMULATED, self.symbol)],
            cwd=self.folder,
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @contextmanager
    def up(self, said: Path) -> Iterator["subprocess.Popen[bytes]"]:
        """`tapeflow up`, once it has said so; killed at the end if it still runs."""
        with said.open("wb") as output:
            process = subprocess.Popen(
                ["tapeflow", "up"],
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=output,
            )
        try:
            self.wait(lambda: "In another terminal" in said.read_text(), process, said)
            yield process
        finally:
            process.kill()
            process.wait()

    @contextmanager
    def aside(self, command: list[str], said: Path) -> Iterator["subprocess.Popen[bytes]"]:
        """A command in a terminal of its own, ended at the end."""
        with said.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=output, stderr=output
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait()

    def program(self, said: Path) -> AbstractContextManager["subprocess.Popen[bytes]"]:
        """The README's program, begun as the README says."""
        (self.folder / "desk.py").write_text(PROGRAM)
        (shown,) = re.findall(r"^A bracket .*`(python desk\.py .*)`:$", _ORDERS, re.MULTILINE)
        return self.aside(["bash", "-c", f"exec {shown.replace(SIMULATED, self.symbol)}"], said)

    def wait(
        self,
        seen: Callable[[], T],
        process: "subprocess.Popen[bytes] | None" = None,
        said: Path | None = None,
    ) -> T:
        """What is seen, once it is true; the process that is waited for must live."""
        told = said or Path(os.devnull)
        deadline_s = time.monotonic() + PATIENCE_S
        while not (found := seen()):
            assert process is None or process.poll() is None, told.read_text()
            assert time.monotonic() < deadline_s, told.read_text()
            time.sleep(0.2)
        return found

    def could_buy(self) -> bool:
        """Whether the market has begun: before it no order has a value."""
        order = {"account": "DESK-1", "client_order_id": "try", "symbol": self.symbol, "side": "buy",
                 "quantity": 100, "order_type": "market"}  # fmt: skip
        with self.api as api:
            return bool(
                api.post("/v1/orders/check", json=order).raise_for_status().json()["passes"]
            )

    def has(self, name: str, status: str) -> bool:
        """Whether an order has come so far; one that was refused will not."""
        order = self.orders().get(name, {})
        assert order.get("status") != "rejected", order
        return order.get("status") == status

    def orders(self) -> dict[str, dict[str, Any]]:
        """How the account's orders stand, by client order id."""
        with self.api as api:
            found = api.get(
                "/v1/orders", params={"account": "DESK-1", "limit": 1000}
            ).raise_for_status()
        return {one["client_order_id"]: one for one in found.json()["orders"]}


class Pressing:
    """Somebody who orders on and on, and remembers what was acknowledged."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.acknowledged: list[str] = []
        self._pool = ThreadPoolExecutor(1)
        self._pressed = self._pool.submit(self._press)

    def join(self) -> list[str]:
        """What was acknowledged until the server was gone."""
        self._pressed.result(PATIENCE_S)
        self._pool.shutdown()
        return self.acknowledged

    def begun(self) -> bool:
        """Whether an order was acknowledged; raises what went wrong."""
        if self._pressed.done():
            self._pressed.result()
        return bool(self.acknowledged)

    def _press(self) -> None:
        with self._desk.api as api:
            for number in range(_PRESSED_MAX):
                name = f"low-{number}"
                order = {"account": "DESK-1", "client_order_id": name, "symbol": self._desk.symbol, "side": "buy",
                         "quantity": 1, "order_type": "limit", "limit_price": "0.01"}  # fmt: skip
                try:
                    answer = api.post("/v1/orders", json=order)
                except httpx.TransportError:
                    return
                answer.raise_for_status()
                self.acknowledged.append(name)
                time.sleep(0.1)


def walk(desk: Desk, market: list[str]) -> None:
    """All that the README says of orders, with a kill in the middle of the TWAP."""
    folder = desk.folder
    said = folder / "up.txt"
    with desk.up(said) as up:
        token = re.search(r"one-time token (\S+)", said.read_text())
        assert token is not None
        assert "account DESK-1" in desk.run(LISTING)
        desk.run(SIGNING_IN, TOKEN=token[1])
        with desk.aside(market, folder / "market.txt") as fed:
            desk.wait(desk.could_buy, fed, folder / "market.txt")
            assert "order_id" in desk.run(BUYING)
            desk.wait(lambda: desk.has("my-first", "filled"), fed)
            acknowledged = kill_amid_orders(desk, up)
            finish(desk, acknowledged)


def kill_amid_orders(desk: Desk, up: "subprocess.Popen[bytes]") -> list[str]:
    """Begin the bracket and the TWAP, and kill everything while orders come; those that were acknowledged."""
    said = desk.folder / "desk.txt"
    pressing = Pressing(desk)
    desk.wait(pressing.begun)
    with desk.program(said) as program:
        desk.wait(lambda: desk.has("my-twap", "partially_filled"), program, said)
        up.send_signal(signal.SIGKILL)
        up.wait()
        return pressing.join()


def finish(desk: Desk, acknowledged: list[str]) -> None:
    """Start everything again, and the program too; all is there, and it adds up."""
    said = desk.folder / "again.txt"
    with desk.up(said) as again:
        assert "one-time token" not in said.read_text()
        told = desk.folder / "desk-again.txt"
        with desk.program(told) as program:
            assert program.wait(PATIENCE_S) == 0, told.read_text()
        assert "my-twap filled 600" in told.read_text()
        check_orders(desk.orders(), acknowledged)
        check_results(desk)
        again.send_signal(signal.SIGINT)
        assert again.wait(PATIENCE_S) == 0, said.read_text()


def check_orders(orders: dict[str, dict[str, Any]], acknowledged: list[str]) -> None:
    """Every acknowledged order is there, once, in its right state."""
    assert orders["my-first"]["status"] == "filled"
    assert orders["my-bracket"]["status"] == "filled"
    assert {orders[f"my-bracket-{exit_}"]["status"] for exit_ in ("tp", "sl")} <= {
        "accepted",
        "working",
    }
    twap = orders["my-twap"]
    assert (twap["status"], float(twap["filled_quantity"])) == ("filled", 600), twap
    assert {orders[name]["status"] for name in acknowledged} <= {"accepted", "working"}
    # One more may be in the log whose answer was lost, and no other.
    known = {"my-first", "my-bracket", "my-bracket-tp", "my-bracket-sl", "my-twap", *acknowledged}
    assert len(orders.keys() - known) <= 1


def check_results(desk: Desk) -> None:
    """Fills add up to the position, the report is there, and the audit holds."""
    with desk.api as api:
        executions = api.get("/v1/executions", params={"account": "DESK-1", "limit": 1000}).json()[
            "executions"
        ]
        (position,) = api.get("/v1/positions", params={"account": "DESK-1"}).json()["positions"]
    assert len({one["execution_id"] for one in executions}) == len(executions)
    assert sum(float(one["quantity"]) for one in executions) == float(position["quantity"]) == 800
    # Asked from here: a program at each look takes from what is to land.
    with client.open(desk.home) as store:
        landed = "SELECT count() AS reports FROM algorithm_reports"
        desk.wait(lambda: store.sql(landed)["reports"][0] == 1)
    told = desk.run(PROOF)
    assert re.search(r"twap .*1 .*600", told), told
    assert re.search(r"All \d+ claims hold", told), told


@pytest.mark.slow
@pytest.mark.timeout(60 * MINUTES)
def test_orders_go_the_readmes_way_in_a_simulated_market(tmp_path: Path) -> None:
    walk(Desk(tmp_path, SIMULATED), SIMULATION.split())


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.timeout(60 * MINUTES)
def test_orders_go_the_readmes_way_on_real_ticks(shared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkout"
    folder.mkdir()
    (tmp_path / "shared").symlink_to(shared.parent)
    walk(Desk(folder, REAL, REAL_HOME), ["bash", "-c", f"exec {FEED}"])


def test_the_program_has_twenty_lines() -> None:
    assert sum(1 for line in PROGRAM.splitlines() if line.strip()) == 20
