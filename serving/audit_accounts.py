"""The part of the audit that concerns accounts: what fills, movements and actions make, reckoned anew from what landed.

Cash and quantities are computed again by ClickHouse from `executions`, `cash_movements` and `corporate_actions`, in
integers of 256 bits, and compared with what the flow `positions` has written, to the last decimal. The order of
fills and actions is taken from the ledger, which is its record; every number from the rows that came in.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from connectors.checks import Check
from connectors.clickhouse import StoreLink
from connectors.landings import CLICKHOUSE, landed_positions
from connectors.log import Log
from connectors.sql_texts import sql_folder
from flows.engines.progress import last_progress, shard_count
from flows.orders.money import known_currencies, minor_unit, text
from flows.positions import Positions
from schemas.accounts import CASH_MOVEMENTS
from schemas.orders import EXECUTIONS
from serving.account_walk import walked

_SUBJECT = "accounts"

Key = tuple[str, ...]


def account_checks(log: Log, store_url: str) -> list[Check]:
    """The checks of accounts; none where the flow has not run, or nothing of it has landed.

    Parameters
    ----------
    log : Log
        Says how far the flow and the lander are.
    store_url : str
        ClickHouse, embedded or a server.
    """
    read = _read(log)
    landed = landed_positions(log)[CLICKHOUSE]
    if not read or not any(topic.name in landed for topic in Positions.outputs):
        return []
    whole = _all_landed(log, read)
    with StoreLink(store_url) as store:
        tables = _Tables(store, read)
        cash, held = tables.recomputed()
        return [
            tables.booked(whole=whole),
            _compared(
                "cash of fills, movements and dividends = balances, by account and currency",
                cash,
                tables.numbers("balances", 2),
                whole=whole,
            ),
            _compared(
                "quantities of fills and actions = positions, by account, strategy, symbol, currency",
                held,
                tables.numbers("positions", 4),
                whole=whole,
            ),
            tables.lots(whole=whole),
        ]


class _Tables:
    """What the landed tables say.

    Parameters
    ----------
    store : StoreLink
        Where they are.
    read : dict
        Topic to partition to the offset up to which the flow has read it.
    """

    def __init__(self, store: StoreLink, read: Mapping[str, Mapping[int, int]]) -> None:
        self._store = store
        codes = known_currencies()
        self._parameters: dict[str, Any] = {
            "currencies": codes,
            "units": [minor_unit(one) for one in codes],
        }
        for name, topic in (("fills", EXECUTIONS), ("movements", CASH_MOVEMENTS)):
            ends = read.get(topic.name, {})
            self._parameters[f"{name}_partitions"] = list(ends) or [-1]
            self._parameters[f"{name}_ends"] = list(ends.values()) or [0]

    def booked(self, *, whole: bool) -> Check:
        """Whether every fill and movement that was read is booked, or told why not."""
        (row,) = self._rows("booked")
        terms = {name: int(row[name]) for name in ("read", "booked", "refused")}
        missing = terms["read"] - terms["booked"] - terms["refused"]
        if not whole:
            # What the flow has written and the lander has not: it cannot be told from what is missing.
            terms["not_landed_yet"] = missing
        return Check(
            subject=_SUBJECT,
            claim="fills and movements that were read = booked + told in ledger_faults",
            left=terms["read"],
            right=terms["read"] - (missing if whole else 0),
            terms=terms,
            detail=f"{row['first']} is not in balances" if whole and missing else "",
        )

    def recomputed(self) -> tuple[dict[Key, int], dict[Key, int]]:
        """Cash by account and currency, and quantities by account, strategy, symbol and currency."""
        cash = self.numbers("cash", 2)
        held = self.numbers("quantities", 4)
        events = self._rows("acted")
        if events:
            accounts = sorted({row["account"] for row in events})
            fills = self._rows("fills", accounts=accounts)
            paid, moved = walked(events, fills, self._rows("actions"))
            for key, amount in paid.items():
                cash[key] = cash.get(key, 0) + amount
            groups = {(row["account"], row["strategy"], row["currency"]) for row in events}
            kept = {key: n for key, n in held.items() if (key[0], key[1], key[3]) not in groups}
            held = kept | moved
        return cash, held

    def lots(self, *, whole: bool) -> Check:
        """Whether the profit of closed lots is that of the positions."""
        (row,) = self._rows("lots")
        terms = {name: int(row[name]) for name in ("positions", "equal")}
        return Check(
            subject=_SUBJECT,
            claim="profit of closed lots = positions.realised, by account, strategy, symbol, currency",
            left=terms["positions"],
            right=terms["equal"] if whole else terms["positions"],
            terms=terms,
            detail=row["first"] if whole else "",
        )

    def numbers(self, name: str, keys: int) -> dict[Key, int]:
        """Rows of some names and a scaled number."""
        rows = (tuple(row.values()) for row in self._rows(name))
        return {row[:keys]: int(row[keys]) for row in rows}

    def _rows(self, name: str, **more: Any) -> list[dict[str, Any]]:
        folder = sql_folder("audit")
        statement = (folder / "terms.sql").read_text() + (folder / f"{name}.sql").read_text()
        table: pa.Table = self._store.run(
            lambda client: client.query_arrow(statement, parameters={**self._parameters, **more})
        )
        rows: list[dict[str, Any]] = table.to_pylist()
        return rows


def _compared(
    claim: str, expected: Mapping[Key, int], found: Mapping[Key, int], *, whole: bool
) -> Check:
    """Numbers that must be equal, by key; one that is not there counts as zero."""
    keys = sorted({*expected, *found})
    wrong = [key for key in keys if expected.get(key, 0) != found.get(key, 0)]
    detail = ""
    if wrong and whole:
        first = wrong[0]
        detail = (
            f"{' '.join(one or '-' for one in first)}: {text(expected.get(first, 0))} computed again, "
            f"{text(found.get(first, 0))} written ({len(wrong)} differ)"
        )
    return Check(
        subject=_SUBJECT,
        claim=claim,
        left=len(keys),
        # While something is under way to the store, what differs may be what has not landed.
        right=len(keys) - len(wrong) if whole else len(keys),
        terms={"compared": len(keys), "equal": len(keys) - len(wrong)},
        detail=detail,
    )


def _read(log: Log) -> dict[str, dict[int, int]]:
    """Up to which offset the flow has read its inputs: topic to partition to offset."""
    read: dict[str, dict[int, int]] = {}
    for shard in range(shard_count(log, Positions)):
        last = last_progress(log, Positions, shard)
        if last is None:
            continue
        for name, ends in last[1].positions.items():
            for partition, end in ends.items():
                known = read.setdefault(name, {})
                known[partition] = max(known.get(partition, 0), end)
    return read


def _all_landed(log: Log, read: Mapping[str, Mapping[int, int]]) -> bool:
    """Whether all that was read, and all that was written by now, has landed."""
    topics = log.topics()
    written = {
        topic.name: {at: log.end(topic.name, at) for at in range(topics[topic.name].partitions)}
        for topic in Positions.outputs
    }
    inputs = {topic.name: read.get(topic.name, {}) for topic in (EXECUTIONS, CASH_MOVEMENTS)}
    landed = landed_positions(log)[CLICKHOUSE]
    return all(
        landed.get(name, {}).get(partition, 0) >= end
        for name, partition, end in _flat(written | inputs)
    )


def _flat(ends: Mapping[str, Mapping[int, int]]) -> Iterable[tuple[str, int, int]]:
    return (
        (name, partition, end) for name, known in ends.items() for partition, end in known.items()
    )
