"""The body of ``tapeflow receipt``: rows and digest of every topic, and the signed chain of them."""

from dataclasses import asdict
from typing import TextIO

import orjson
from rich.console import Console
from rich.table import Table

from connectors.log import Log
from connectors.receipts import TopicReceipt, receipt
from schemas.registry import TOPICS, topic


def run_receipt(log: Log, names: list[str], *, as_json: bool, out: TextIO) -> int:
    """Print the receipts of topics (all if none is named); the exit code.

    Raises
    ------
    KeyError
        For a name that is no topic's.
    """
    wanted = [topic(name) for name in names] if names else list(TOPICS.values())
    receipts = receipt(log, wanted)
    if as_json:
        out.write(orjson.dumps(receipt_value(receipts), option=orjson.OPT_INDENT_2).decode() + "\n")
        return 0
    table = Table(title="Receipt: rows and order-free digest of each topic")
    for name in ("topic", "schema", "rows", "digest"):
        # A digest that is cut off proves nothing.
        table.add_column(
            name,
            justify="right" if name == "rows" else "left",
            no_wrap=True,
            min_width=32 if name == "digest" else None,
        )
    for one in receipts:
        table.add_row(one.topic, str(one.version), f"{one.rows:,}", one.digest)
    Console(file=out).print(table)
    return 0


def receipt_value(receipts: list[TopicReceipt]) -> dict[str, dict[str, object]]:
    """Receipts by topic, as JSON has them."""
    return {one.topic: asdict(one) for one in receipts}
