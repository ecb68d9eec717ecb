"""Sees that nobody but flows has written what flows derive: comparisons look at each shard's own records alone."""

from collections.abc import Iterator

from connectors.checks import Check
from connectors.log import CorruptLogError, Log, Record
from connectors.scan import readable_records
from flows.catalog import catalog
from flows.engines.progress import shard_count
from schemas.codec import HEADER_FLOW, HEADER_SHARD
from schemas.faults import DEAD_LETTER
from schemas.topic import Kind


def ownership(log: Log) -> list[Check]:
    """Records of derived topics = those that name a flow which gives such, and a shard of it; none in an empty log.

    Not of `dead_letter`, into which feeds write too, nor of topics whose flows have never run: they may be a vendor's.

    Parameters
    ----------
    log : Log
        Where flows run.
    """
    shards = _shards(log)
    records = owned = 0
    # Where it first differs: the others may be millions.
    faults: list[str] = []
    for name, record in _derived(log, list(shards), faults):
        records += 1
        by, shard = record.header(HEADER_FLOW), record.header(HEADER_SHARD)
        if by is not None and (by.partition(b"/")[0], shard) in shards[name]:
            owned += 1
        elif not faults:
            faults.append(
                f"{name}[{record.partition}] offset {record.offset} is of {_said(by, shard)}, which gives no such rows: "
                "other programs' rows go to a topic's inbox, or to a topic of their own"
            )
    if not records:
        return []
    return [
        Check(
            subject="derived topics",
            claim="records in the log = records of the flows that give such",
            left=records,
            right=owned,
            terms={"in_log": records, "of_flows": owned},
            detail="".join(faults),
        )
    ]


def _shards(log: Log) -> dict[str, set[tuple[bytes, bytes | None]]]:
    """Writers of derived topics, of flows that have run: flow and shard, as records name them."""
    found: dict[str, set[tuple[bytes, bytes | None]]] = {}
    for kind in catalog().values():
        of_flow = {(kind.name.encode(), str(at).encode()) for at in range(shard_count(log, kind))}
        for topic in kind.outputs:
            if of_flow and topic.kind is Kind.DERIVED and topic is not DEAD_LETTER:
                found.setdefault(topic.name, set()).update(of_flow)
    return found


def _derived(log: Log, names: list[str], faults: list[str]) -> Iterator[tuple[str, Record]]:
    """Records that can be read; of the first other one, why it cannot."""

    def damaged(error: CorruptLogError) -> None:
        if not faults:
            faults.append(str(error))

    topics = log.topics()
    for name in names:
        for partition in range(topics[name].partitions if name in topics else 0):
            start, end = log.start(name, partition), log.end(name, partition)
            for record in readable_records(
                log, name, partition, start=start, end=end, on_damage=damaged
            ):
                yield name, record


def _said(by: bytes | None, shard: bytes | None) -> str:
    if by is None:
        return "no flow"
    return (
        f"flow {by.decode(errors='replace')}, shard {(shard or b'none').decode(errors='replace')}"
    )
