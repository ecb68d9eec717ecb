"""What is known of our orders at Alpaca: its identifiers, what was reported of them, and what is to be reported.

Pure: no network, no log. A fill is named by its order and the quantity that the order had filled with it, which the
stream and the account's activities tell alike, so that one that is told by both is reported once.
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
    """

    symbol: str
    since: str
    alpaca_ids: list[str] = field(default_factory=list)
    reported: list[str] = field(default_factory=list)


Report = dict[str, Any]


class AlpacaOrders:
    """Our open orders at Alpaca.

    Parameters
    ----------
    saved : dict or None
        What `saved` gave.
    """

    def __init__(self, saved: dict[str, Any] | None = None) -> None:
        self.open = {name: OpenOrder(**values) for name, values in (saved or {}).items()}

    def saved(self) -> dict[str, Any]:
        """As JSON values."""
        return {name: asdict(order) for name, order in self.open.items()}

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

    def updated(self, update: dict[str, Any]) -> list[Report]:
        """A trade update of the stream."""
        order, event = update["order"], str(update["event"])
        name = self.name_of(str(order["client_order_id"]))
        if name not in self.open:
            return []
        if event in ("fill", "partial_fill"):
            filled = self._filled(
                name,
                str(order["id"]),
                str(order["filled_qty"]),
                str(update["qty"]),
                str(update["price"]),
            )
            return [*filled, *self.stands(name, order)]
        if event in _REFUSALS:
            at = f"{event}:{order['id']}:{update.get('timestamp')}"
            return self._told(name, _REFUSALS[event], at, None)
        return self.stands(name, order)

    def fill(self, activity: dict[str, Any]) -> list[Report]:
        """A fill of the account's activities."""
        for name, known in self.open.items():
            if activity["order_id"] in known.alpaca_ids:
                return self._filled(
                    name,
                    str(activity["order_id"]),
                    str(activity["cum_qty"]),
                    str(activity["qty"]),
                    str(activity["price"]),
                )
        return []

    def stands(self, name: str, order: dict[str, Any]) -> list[Report]:
        """How an order stands, told by the stream or asked for; fills of it are told before."""
        status = str(order["status"])
        if status == "replaced" and order.get("replaced_by"):
            replaced_by = str(order["replaced_by"])
            known = self.open[name]
            if replaced_by not in known.alpaca_ids:
                known.alpaca_ids.append(replaced_by)
            return self._told(name, "replaced", f"replaced:{replaced_by}", None)
        if status == "filled":
            if self._has_told_all(name, order):
                del self.open[name]
            return []
        if status not in _ENDS:
            return []
        reports = self._told(name, _ENDS[status], f"{status}:{order['id']}", None)
        del self.open[name]
        return reports

    @staticmethod
    def name_of(client_order_id: str) -> str:
        """Our identifier of the order that Alpaca has under this name of ours."""
        return client_order_id.partition(_MARK)[0]

    def _filled(
        self, name: str, alpaca_id: str, cumulative: str, quantity: str, price: str
    ) -> list[Report]:
        told = f"fill:{alpaca_id}:{Decimal(cumulative).normalize():f}"
        return self._told(
            name, "filled", told, None, quantity=Decimal(quantity), price=Decimal(price)
        )

    def _has_told_all(self, name: str, order: dict[str, Any]) -> bool:
        last = f"fill:{order['id']}:{Decimal(str(order['filled_qty'])).normalize():f}"
        return last in self.open[name].reported

    def _told(
        self, name: str, report: str, report_id: str, reason: str | None, **more: Any
    ) -> list[Report]:
        known = self.open[name]
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
        "time_in_force": _TIMES_IN_FORCE.get(row["time_in_force"], row["time_in_force"]),
        "client_order_id": row["broker_order_id"],
    }
    return terms | _limit(row)


def replacing_terms(row: dict[str, Any]) -> dict[str, Any]:
    """The same of a replacement; its own name makes it known if it was asked for before."""
    name = f"{row['broker_order_id']}{_MARK}{row['sequence']}"
    return {"qty": _text(row["quantity"]), "client_order_id": name} | _limit(row)


def _limit(row: dict[str, Any]) -> dict[str, Any]:
    return {} if row["limit_price"] is None else {"limit_price": _text(row["limit_price"])}


def _text(number: Decimal) -> str:
    return f"{number.normalize():f}"
