"""What is known of our orders at Alpaca: its identifiers, what was reported of them, and what is to be reported.

Pure: no network, no log. A fill is named by its order and the quantity that the order had filled with it, which the
stream and the account's activities tell alike, so that one that is told by both is reported once. An order that has
ended is remembered for a while: what is told of it late, a fill, or that one is busted or corrected, is reported too.
"""

from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

# Between our identifier and the number of the command that replaced the order.
_MARK = "~"

_ENDS = {
    "canceled": "cancelled",
    "expired": "expired",
    "rejected": "rejected",
}
_REFUSALS = {
    "order_replace_rejected": "replace_rejected",
    "order_cancel_rejected": "cancel_rejected",
}
_TAKEN_BACK = {
    "trade_bust": "fill_busted",
    "trade_correct": "fill_corrected",
}
# Hundreds of kilobytes of state a commit; an account gives two hundred orders a minute at most.
ENDED_MAX = 1_000
_TIMES_IN_FORCE = {"at_open": "opg", "at_close": "cls", "gtd": "gtc"}


@dataclass
class OpenOrder:
    """An order that the broker has open.

    Attributes
    ----------
    symbol : str
        Of what.
    since : str
        When it was sent, RFC 3339: fills are asked for from here on.
    alpaca_ids : list of str
        Alpaca's identifiers: of the order, and of those that replaced it.
    reported : list of str
        Reports that were made.
    taken_back : bool
        Whether a fill was busted or corrected: what it has filled then comes twice to the same quantity.
    """

    symbol: str
    since: str
    alpaca_ids: list[str] = field(default_factory=list)
    reported: list[str] = field(default_factory=list)
    taken_back: bool = False


Report = dict[str, Any]


class AlpacaOrders:
    """Our open orders at Alpaca.

    Parameters
    ----------
    saved : dict or None
        What `saved` gave.
    ended : dict or None
        What `saved_ended` gave.
    """

    def __init__(
        self, saved: dict[str, Any] | None = None, ended: dict[str, Any] | None = None
    ) -> None:
        self.open = {name: OpenOrder(**values) for name, values in (saved or {}).items()}
        self.ended = {name: OpenOrder(**values) for name, values in (ended or {}).items()}

    def saved(self) -> dict[str, Any]:
        """Open orders as JSON values."""
        return {name: asdict(order) for name, order in self.open.items()}

    def saved_ended(self) -> dict[str, Any]:
        """The last `ENDED_MAX` that have ended as JSON values, the oldest first."""
        return {name: asdict(order) for name, order in self.ended.items()}

    @property
    def since(self) -> str | None:
        """From when on something may have been filled that was not told; None where nothing can."""
        known = [*self.open.values(), *self.ended.values()]
        return min((order.since for order in known if order.since), default=None)

    def began(self, name: str, symbol: str, order: dict[str, Any]) -> list[Report]:
        """An order was taken by Alpaca."""
        known = self.open.setdefault(name, OpenOrder(symbol, str(order["created_at"])))
        if order["id"] not in known.alpaca_ids:
            known.alpaca_ids.append(str(order["id"]))
        return self._told(name, "accepted", f"accepted:{order['id']}", None)

    def refused(self, name: str, symbol: str, report: str, number: int, words: str) -> list[Report]:
        """Alpaca refuses a command; ``number`` is the command's own."""
        self.open.setdefault(name, OpenOrder(symbol, ""))
        reports = self._told(name, report, f"{report}:{number}", words)
        if report == "rejected":
            del self.open[name]
        return reports

    def _end(self, name: str) -> None:
        self.ended[name] = self.open.pop(name)
        if len(self.ended) > ENDED_MAX:
            del self.ended[next(iter(self.ended))]

    def knows(self, update: dict[str, Any]) -> bool:
        """Whether a trade update is of an order that is open, or has ended not too long ago."""
        name = self.name_of(str(update["order"]["client_order_id"]))
        return name in self.open or name in self.ended

    def updated(self, update: dict[str, Any]) -> list[Report]:
        """A trade update of the stream."""
        order, event = update["order"], str(update["event"])
        name = self.name_of(str(order["client_order_id"]))
        if not self.knows(update):
            return []
        if event in _TAKEN_BACK:
            return self._took_back(name, update)
        if event in ("fill", "partial_fill"):
            filled = self._filled(
                name,
                str(order["id"]),
                str(order["filled_qty"]),
                str(update["qty"]),
                str(update["price"]),
                str(update.get("execution_id")),
            )
            return [*filled, *self.stands(name, order)]
        if name in self.ended:
            return []
        if event in _REFUSALS:
            at = f"{event}:{order['id']}:{update.get('timestamp')}"
            return self._told(name, _REFUSALS[event], at, None)
        return self.stands(name, order)

    def fill(self, activity: dict[str, Any]) -> list[Report]:
        """A fill of the account's activities."""
        for name, known in (*self.open.items(), *self.ended.items()):
            if activity["order_id"] in known.alpaca_ids:
                return self._filled(
                    name,
                    str(activity["order_id"]),
                    str(activity["cum_qty"]),
                    str(activity["qty"]),
                    str(activity["price"]),
                )
        return []

    def _took_back(self, name: str, update: dict[str, Any]) -> list[Report]:
        """A fill that the exchange has busted or corrected: which, and as what, in the broker's own words."""
        self._known(name).taken_back = True
        event, at = str(update["event"]), update.get("execution_id") or update.get("timestamp")
        words = {
            one: update[one]
            for one in ("execution_id", "previous_execution_id", "qty", "price", "reason")
            if update.get(one) is not None
        }
        said = ", ".join(f"{one} {value}" for one, value in words.items())
        numbers = {"quantity": words.get("qty"), "price": words.get("price")}
        exact = {one: Decimal(str(value)) for one, value in numbers.items() if value is not None}
        return self._told(
            name,
            _TAKEN_BACK[event],
            f"{event}:{update['order']['id']}:{at}",
            f"{event}: {said}",
            **{one: value for one, value in exact.items() if value > 0},
        )

    def stands(self, name: str, order: dict[str, Any]) -> list[Report]:
        """How an order stands, told by the stream or asked for; fills of it are told before."""
        if name not in self.open:
            return []
        status = str(order["status"])
        if status == "replaced" and order.get("replaced_by"):
            replaced_by = str(order["replaced_by"])
            known = self.open[name]
            if replaced_by not in known.alpaca_ids:
                known.alpaca_ids.append(replaced_by)
            return self._told(name, "replaced", f"replaced:{replaced_by}", None)
        if status == "filled":
            if self._has_told_all(name, order):
                self._end(name)
            return []
        if status not in _ENDS:
            return []
        reports = self._told(name, _ENDS[status], f"{status}:{order['id']}", None)
        self._end(name)
        return reports

    @staticmethod
    def name_of(client_order_id: str) -> str:
        """Our identifier of the order that Alpaca has under this name of ours."""
        return client_order_id.partition(_MARK)[0]

    def _filled(
        self,
        name: str,
        alpaca_id: str,
        cumulative: str,
        quantity: str,
        price: str,
        execution_id: str | None = None,
    ) -> list[Report]:
        told = f"fill:{alpaca_id}:{Decimal(cumulative).normalize():f}"
        if execution_id is not None and self._known(name).taken_back:
            told = f"{told}:{execution_id}"
        return self._told(
            name, "filled", told, None, quantity=Decimal(quantity), price=Decimal(price)
        )

    def _has_told_all(self, name: str, order: dict[str, Any]) -> bool:
        last = f"fill:{order['id']}:{Decimal(str(order['filled_qty'])).normalize():f}"
        told = self.open[name].reported
        return any(one == last or one.startswith(f"{last}:") for one in told)

    def _known(self, name: str) -> OpenOrder:
        return self.open.get(name) or self.ended[name]

    def _told(
        self, name: str, report: str, report_id: str, reason: str | None, **more: Any
    ) -> list[Report]:
        known = self._known(name)
        if report_id in known.reported:
            return []
        known.reported.append(report_id)
        return [
            {
                "symbol": known.symbol,
                "broker_order_id": name,
                "report_id": report_id,
                "report": report,
                "reason": reason,
                **more,
            }
        ]


def new_terms(row: dict[str, Any]) -> dict[str, Any]:
    """What Alpaca is sent of a new order, a row of ``broker_orders``."""
    terms = {
        "symbol": row["symbol"],
        "qty": _text(row["quantity"]),
        "side": "buy" if row["side"] == "buy" else "sell",
        "type": row["order_type"],
        "time_in_force": _time_in_force(row),
        "client_order_id": row["broker_order_id"],
    }
    return terms | _limit(row)


def replacing_terms(row: dict[str, Any]) -> dict[str, Any]:
    """The same of a replacement; its own name makes it known if it was asked for before."""
    name = f"{row['broker_order_id']}{_MARK}{row['sequence']}"
    terms = {
        "qty": _text(row["quantity"]),
        "time_in_force": _time_in_force(row),
        "client_order_id": name,
    }
    return terms | _limit(row)


def _time_in_force(row: dict[str, Any]) -> str:
    return _TIMES_IN_FORCE.get(row["time_in_force"], str(row["time_in_force"]))


def _limit(row: dict[str, Any]) -> dict[str, Any]:
    return {} if row["limit_price"] is None else {"limit_price": _text(row["limit_price"])}


def _text(number: Decimal) -> str:
    return f"{number.normalize():f}"
