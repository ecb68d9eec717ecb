"""Receipts: for each topic how many rows it has, and one digest of them, whatever their order."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from connectors.log import Log
from connectors.scan import scan_rows
from schemas.digest import DigestSum, row_digests
from schemas.topic import Topic


@dataclass(frozen=True, kw_only=True)
class TopicReceipt:
    """The receipt of one topic.

    Parameters
    ----------
    topic : str
        Topic name.
    version : int
        Schema version.
    rows : int
        Count of rows; watermark rows are not rows.
    digest : str
        Order-free 128-bit sum of the row digests, 32 hexadecimal digits.
    """

    topic: str
    version: int
    rows: int
    digest: str


def receipt(
    log: Log, topics: Iterable[Topic], on_rows: Callable[[int], None] | None = None
) -> list[TopicReceipt]:
    """The receipts of topics, counted from the log.

    Parameters
    ----------
    log : Log
        Where.
    topics : iterable of Topic
        Which; those that the log does not have are left out.
    on_rows : callable or None
        Told how many rows were read, record by record.
    """
    known = log.topics()
    found = []
    for topic in topics:
        if topic.name not in known:
            continue
        total = DigestSum()
        for partition in range(known[topic.name].partitions):
            for _, batch in scan_rows(log, topic, partition):
                total.add(row_digests(topic, batch))
                if on_rows is not None:
                    on_rows(batch.num_rows)
        found.append(
            TopicReceipt(
                topic=topic.name, version=topic.version, rows=total.rows, digest=total.hexdigest()
            )
        )
    return found
