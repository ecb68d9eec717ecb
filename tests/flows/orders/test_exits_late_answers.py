"""A bracket and its exits where every answer may be late: whatever is filled, the position has its exits, and no more than once."""

from collections import deque
from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flows.oms import Oms, OmsParams
from flows.orders.money import ONE
from tests.flows.orders.order_system import OrderSystem, Row, order_id

ENTRY = order_id("c1")


@dataclass
class Worked:
    """An order as the execution has it; of an exit the quantity is that of both."""

    quantity: int
    filled: int = 0
    is_open: bool = True


class Execution:
    """Answers instructions one by one, as late as a test wants, and fills what is open."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.desk = OrderSystem()
        self.desk.bracket()
        self.orders: dict[str, Worked] = {}
        self.taken = 0
        self.told: deque[tuple[str, Row]] = deque()
        self.fills = 0

    @property
    def has_more(self) -> bool:
        return self.taken < len(self.desk.instructions) or bool(self.told)

    def take(self) -> None:
        """The next instruction, if there is one."""
        if self.taken == len(self.desk.instructions):
            return
        one = self.desk.instructions[self.taken]
        self.taken += 1
        name, quantity = one["order_id"].removeprefix(ENTRY), int(one["quantity"])
        if one["action"] == "new":
            self.orders[name] = Worked(quantity)
            return
        order = self.orders[name]
        late = not order.is_open or (one["action"] == "replace" and quantity <= order.filled)
        kind = "replace_rejected" if one["action"] == "replace" else "cancel_rejected"
        if not late and one["action"] == "replace":
            order.quantity, kind = quantity, "replaced"
        elif not late:
            order.is_open, kind = False, "cancelled"
        price = {"-t": "limit_price", "-s": "stop_price"}.get(name[:2], "limit_price")
        self.tell(kind, name, quantity=str(order.quantity), **{price: "50"})

    def fill(self, name: str) -> None:
        order = self.orders.get(name)
        left = self.left(name)
        if order is None or not left:
            return
        if name.startswith("-sl"):
            self.take_out(name.replace("-sl", "-tp"))
        # Entries bit by bit, exits more often as a whole: so they get into each other's way.
        most = left if name else max(left // 4, 1)
        quantity = self.rng.choice([left if name else 1, self.rng.randint(1, most)])
        order.filled += quantity
        order.is_open = quantity < left or self.left(name) > 0
        self.fills += 1
        side = "sell" if name else "buy"
        row = {"quantity": str(quantity), "side": side, "execution_id": f"x{self.fills}"}
        self.told.append(("fill", row | {"exit": name}))

    def left(self, name: str) -> int:
        """What is open of an order; of an exit without what the other one was filled with."""
        order = self.orders.get(name)
        if order is None or not order.is_open:
            return 0
        other = self.orders.get(name.translate(_OTHER)) if name else None
        return max(order.quantity - order.filled - (0 if other is None else other.filled), 0)

    def take_out(self, name: str) -> None:
        """A stop is reached: what is left of the other exit is taken out of the market first."""
        other = self.orders[name]
        if other.is_open:
            other.is_open = False
            self.tell("cancelled", name, quantity=str(other.quantity), reason="triggered")

    def tell(self, kind: str, name: str, **more: Any) -> None:
        filled = str(self.orders[name].filled)
        self.told.append((kind, {"exit": name, "filled_quantity": filled} | more))

    def deliver(self) -> None:
        """The next answer, if there is one."""
        if not self.told:
            return
        kind, row = self.told.popleft()
        if kind == "fill":
            self.desk.fill(row.pop("quantity"), **row)
        else:
            self.desk.report(kind, **row)


# "-tp2" to "-sl2", and back.
_OTHER = str.maketrans("tpsl", "sltp")


def test_what_exits_are_of_is_known_whole_however_many_orders_end_meanwhile() -> None:
    desk = OrderSystem(self_trade_allowed=True)
    desk.flow = Oms(OmsParams(max_ended_whole=1), desk.flow.snapshot())
    desk.bracket()
    desk.fill("40")
    desk.fill("60")
    for client in ("x1", "x2", "x3"):
        desk.new(client)
        desk.report("cancelled", client)
    # Filled before it could grow, and then the other one was refused: 60 are without exits.
    desk.fill("40", "55", exit="-tp", side="sell")
    desk.report("replace_rejected", exit="-tp", filled_quantity="40")
    desk.report("cancelled", exit="-sl", reason="its venue does not take it any more")
    made = [(one["order_id"], one["quantity"]) for one in desk.instructions[-2:]]
    assert made == [(f"{ENTRY}-tp2", 60), (f"{ENTRY}-sl2", 60)]
    desk.report("cancelled", exit="-tp2")
    desk.report("cancelled", exit="-sl2")
    for client in ("x4", "x5", "x6", "x7"):
        desk.new(client)
        desk.report("cancelled", client)
    assert list(desk.flow._blotters["A"].known.orders) == [order_id("x7")]


@settings(max_examples=300)
@given(
    st.integers(0, 2**32),
    st.lists(
        st.sampled_from(["take", "entry", "-tp", "-tp", "-sl", "deliver", "deliver", "take"]),
        min_size=20,
        max_size=80,
    ),
)
def test_whatever_is_filled_when_all_of_a_position_has_its_exits(
    seed: int, steps: list[str]
) -> None:
    """Prices go either way; every answer may be late."""
    run = Execution(seed)
    for step in steps:
        if step == "take":
            run.take()
        elif step == "entry":
            run.fill("")
        elif step == "deliver":
            run.deliver()
        else:
            for name in list(run.orders):
                if name.startswith(step):
                    run.fill(name)
    while run.has_more:
        run.take()
        run.deliver()
    exits = {name: one for name, one in run.orders.items() if name}
    position = run.orders[""].filled - sum(one.filled for one in exits.values())
    assert position >= 0
    pairs = {name.replace("-sl", "-tp") for name in exits}
    left = [(run.left(name), run.left(name.translate(_OTHER))) for name in pairs]
    assert sum(max(pair) for pair in left) == position
    book = run.desk.flow._blotters["A"]
    assert book.account.holdings["AIG"].quantity == position * 10**10 if run.fills else True
    for name, one in run.orders.items():
        order = book.known.orders[ENTRY + name]
        assert (order.filled, order.is_open) == (one.filled * ONE, one.is_open), name
        if one.is_open:
            assert order.quantity - order.filled == run.left(name) * ONE, name
