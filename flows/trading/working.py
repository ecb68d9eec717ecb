"""Orders that are being worked: what was ordered, its parts at venues, and what became of it so far."""

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from flows.trading.interfaces import Algorithm, Order

ASKED_FOR = ("cancelled", None)
"""How an order ends that its client has cancelled."""


@dataclass(slots=True)
class Slice:
    """A part of an order at one venue."""

    slice_id: str
    venue: str
    quantity: int
    immediate: bool
    """Whether what is not filled at once is to be routed again."""
    filled: int = 0
    arrived: bool = False
    wanted: int | None = None
    """Its quantity once a replacement is through; 0: it is cancelled for that."""
    seen: list[str] = field(default_factory=list)
    """Reports of a broker that were read already."""

    @property
    def left(self) -> int:
        """What is not filled."""
        return self.quantity - self.filled


@dataclass(slots=True)
class Leg:
    """What is routed as one: the order itself (number 0), or a child of an algorithm."""

    number: int
    order: Order
    filled: int = 0
    unrouted: int = 0
    """What came back and is to be routed again."""
    sweeps: int = 0
    """How often it was routed."""
    ending: tuple[str, str | None] | None = None
    """Report and reason that it ends with, once its slices have."""
    slices: dict[str, Slice] = field(default_factory=dict)


class NewTerms(NamedTuple):
    """What a replacement asks for: all terms as they are to be."""

    quantity: int
    limit_price: int | None
    display_quantity: int | None
    time_in_force: str
    ts_expire: int | None
    stop_price: int | None
    trail_amount: int | None
    trail_percent: int | None
    peg_offset: int


@dataclass(slots=True)
class Working:
    """An order that is being worked.

    Attributes
    ----------
    order : Order
        Its terms now; the type is that of what it became once a trigger was pulled.
    sequence : int
        Number of the account's instruction that it came with; 0 where a snapshot of an earlier version did not say.
    held : bool
        Whether it waits for its trigger.
    expires_at : int or None
        When it expires, market time.
    ending : tuple or None
        Report and reason that it ends with, once its legs have.
    replacing : NewTerms or None
        A replacement that is on its way.
    queued : list of NewTerms
        Replacements that wait for it.
    trail_best : int or None
        Best price that a trailing stop has seen.
    left_off : int
        Of an exit that was held: what the other one had filled when it was sent, which its quantity is without.
    """

    order: Order
    client_order_id: str
    parent_order_id: str | None
    currency: str
    strategy: str
    lot_method: str | None
    lots: str | None
    correlation_id: str | None
    ts_begin: int
    sequence: int = 0
    stop_price: int | None = None
    trail_amount: int | None = None
    trail_percent: int | None = None
    ts_expire: int | None = None
    algorithm: str | None = None
    algorithm_params: str | None = None
    trigger: str | None = None
    held: bool = False
    expires_at: int | None = None
    trail_best: int | None = None
    filled: int = 0
    notional: int = 0
    reports: int = 0
    executions: int = 0
    decisions: int = 0
    slices_made: int = 0
    children: int = 0
    ending: tuple[str, str | None] | None = None
    replacing: NewTerms | None = None
    queued: list[NewTerms] = field(default_factory=list)
    replaced: bool = False
    left_off: int = 0
    legs: dict[int, Leg] = field(default_factory=dict)
    worker: Algorithm | None = None

    @property
    def lasting_id(self) -> str:
        """Names this order for ever, its fills and parts begin with it.

        The order system forgets ended orders, whose identifiers can be used again then; instructions are numbered
        without end.
        """
        return f"{self.order.order_id}-{self.sequence}"

    def slice_id(self, number: int) -> str:
        """Names one of its parts at venues."""
        return f"{self.lasting_id}.{number}"

    @property
    def new_terms(self) -> NewTerms:
        """Its terms, as a replacement asks for them."""
        order = self.order
        return NewTerms(
            order.quantity,
            order.limit_price,
            order.display_quantity,
            order.time_in_force,
            self.ts_expire,
            self.stop_price,
            self.trail_amount,
            self.trail_percent,
            order.peg_offset,
        )

    @property
    def open_quantity(self) -> int:
        """What its legs have open."""
        return sum(leg.order.quantity - leg.filled for leg in self.legs.values())

    def saved(self) -> dict[str, Any]:
        """As JSON values."""
        worker, self.worker = self.worker, None
        values = asdict(self)
        self.worker = worker
        values["legs"] = list(values["legs"].values())
        for leg in values["legs"]:
            leg["slices"] = list(leg["slices"].values())
        # In a list, since what an algorithm saves may be null itself.
        values["worker"] = [] if worker is None else [worker.saved()]
        return values

    @classmethod
    def restored(cls, saved: dict[str, Any]) -> "Working":
        """What `saved` gave the values of, but for its algorithm."""
        legs = {leg["number"]: _leg(leg) for leg in saved["legs"]}
        order = Order(**saved["order"])
        values = saved | {
            "order": order,
            "legs": legs,
            "ending": _pair(saved["ending"]),
            "replacing": None
            if saved["replacing"] is None
            else _new_terms(saved["replacing"], order),
            "queued": [_new_terms(one, order) for one in saved["queued"]],
            "worker": None,
        }
        return cls(**values)


def _leg(saved: dict[str, Any]) -> Leg:
    slices = {one["slice_id"]: Slice(**one) for one in saved["slices"]}
    values = saved | {"order": Order(**saved["order"]), "slices": slices}
    return Leg(**(values | {"ending": _pair(saved["ending"])}))


def _new_terms(values: list[Any], order: Order) -> NewTerms:
    """A replacement; of an earlier version, which had no peg's offset in it, the order keeps its own."""
    return NewTerms(*[*values, order.peg_offset][: len(NewTerms._fields)])


def _pair(values: Any) -> Any:
    return None if values is None else tuple(values)
