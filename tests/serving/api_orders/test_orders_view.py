"""Orders in memory: each listed once, in the order in which it was first heard of, with how it stands."""

from collections.abc import Iterator
from random import Random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.orders.states import ENDED
from schemas.orders import ORDER_EVENTS, ORDERS
from serving.latest.orders_view import OrdersView

_ACCOUNTS = ("A", "B")
_STATUSES = ("accepted", "filled", "cancelled", "unknown")
Reads = list[tuple[bool, list[list[tuple[int, str]]]]]
"""What came of reads: whether commands or events, and of each record the orders and what was said."""
_NAMES = st.integers(0, 25)
_READS = st.lists(
    st.tuples(
        st.booleans(),
        st.lists(
            st.lists(st.tuples(_NAMES, st.sampled_from(_STATUSES)), max_size=4),
            min_size=1,
            max_size=3,
        ),
    ),
    max_size=40,
)


def _account(number: int) -> str:
    return _ACCOUNTS[number % 2]


def _commands(rows: list[tuple[int, str]]) -> pa.RecordBatch:
    """New orders; of what would be an end, a cancel."""
    return ORDERS.batch_of_rows(
        [
            {
                "order_id": str(number),
                "account": _account(number),
                "client_order_id": str(number),
                "command": "new" if status == "accepted" else "cancel",
                "order_class": "simple" if number % 3 or status != "accepted" else "bracket",
                "ts_event": 1,
            }
            for number, status in rows
        ]
    )


def _events(rows: list[tuple[int, str]]) -> pa.RecordBatch:
    return ORDER_EVENTS.batch_of_rows(
        [
            {
                "order_id": str(number),
                "account": _account(number),
                "order_type": "limit",
                "status": status,
                "ts_event": 1,
            }
            for number, status in rows
        ]
    )


def _listed(view: OrdersView, **asked: bool) -> dict[str, list[str]]:
    return {
        account: [
            order["order_id"]
            for block in view.newest_first(account, None, 7, **asked)
            for order in block
        ]
        for account in _ACCOUNTS
    }


def _told(reads: Reads) -> Iterator[tuple[bool, int, str]]:
    """What was said of orders, in order: whether it is a command, of which order, and what."""
    for is_command, records in reads:
        for rows in records:
            for number, status in rows:
                if (status == "accepted") if is_command else (status != "unknown"):
                    yield is_command, number, status


def _fed(view: OrdersView, reads: Reads) -> None:
    offset = 0
    for is_command, records in reads:
        topic, made = (ORDERS, _commands) if is_command else (ORDER_EVENTS, _events)
        batches = [made(rows) for rows in records]
        offsets = list(range(offset, offset + len(records)))
        view.append(topic, 0, offsets, batches)
        offset += len(records)


@settings(max_examples=60, deadline=None)
@given(_READS)
def test_an_account_lists_its_orders_as_they_came_and_how_they_stand(
    reads: Reads,
) -> None:
    view = OrdersView(rows_max=100_000)
    _fed(view, reads)
    told = list(_told(reads))
    first = list(dict.fromkeys(number for _, number, _ in told))
    ended = {number for number in first if _last_status(told, number) in ENDED}
    # Of an order that nobody was heard to give, it is not known whether it has exits.
    parents = {number for is_command, number, _ in told if is_command and number % 3 == 0}
    for asked, without in (
        ({}, set[int]()),
        ({"only_open": True}, ended),
        ({"only_open": True, "and_parents": True}, ended - parents),
    ):
        wanted = [one for one in reversed(first) if one not in without]
        assert _listed(view, **asked) == {
            account: [str(one) for one in wanted if _account(one) == account]
            for account in _ACCOUNTS
        }


def _last_status(told: list[tuple[bool, int, str]], number: int) -> str | None:
    statuses = [status for is_command, one, status in told if one == number and not is_command]
    return statuses[-1] if statuses else None


@pytest.mark.parametrize("seed", range(3))
def test_what_is_kept_is_listed_once_whatever_was_forgotten(seed: int) -> None:
    random = Random(seed)
    view = OrdersView(rows_max=3)
    for turn in range(300):
        rows = [(random.randrange(26), random.choice(_STATUSES)) for _ in range(2)]
        _fed(view, [(random.random() < 0.2, [rows])])
        if turn % 15:
            continue
        listed = [name for names in _listed(view).values() for name in names]
        assert len(set(listed)) == len(listed)
        known = {str(number) for number in range(26) if view.order(str(number)) is not None}
        assert set(listed) == known
