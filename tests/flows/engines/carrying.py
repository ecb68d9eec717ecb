"""Flows whose state is carried over epochs, and shards of them that tests start, kill and look at."""

from typing import Any, ClassVar

import numpy as np

from connectors.log import Log, NewRecord, TopicConfig
from connectors.records import rows_record
from connectors.topics import create_topics
from flows.engines.compare import compare
from flows.engines.recount import recount
from flows.engines.shard import Shard, ShardOptions, prepare
from flows.flow import Carried, Emit, Emitted, Input, Order, Params, Rows
from schemas.market import QUOTES, TRADES
from tests.conformity.outputs import logged
from tests.conformity.sample_flows import QUOTES_SEEN
from tests.conformity.workload import topic_rows
from tests.flows.engines.test_shard import Every

NEVER = 10**9


class Counting(Every):
    """Numbers trades and adds up its parameter, trade by trade: what it once was shows in all that comes later."""

    name = "counting"
    carried = Carried(layout=1)

    def __init__(self, params: Params, snapshot: bytes | None) -> None:
        seen, total = (snapshot or b"0 0").split()
        super().__init__(params, seen)
        self.total = int(total)

    def on_rows(self, rows: Rows) -> list[Emitted]:
        before = self.seen
        (told,) = super().on_rows(rows)
        assert isinstance(told, Emit)
        columns = {name: told.batch.column(name) for name in told.batch.schema.names}
        columns["quotes"] = self.total + self.every * (columns["trade"].to_numpy() - before)
        self.total += self.every * (self.seen - before)
        return [Emit(topic=QUOTES_SEEN, batch=QUOTES_SEEN.batch(columns))]

    def snapshot(self) -> bytes:
        return f"{self.seen} {self.total}".encode()


class InTurns(Counting):
    """The same with an input more, in the order of reads."""

    name = "in_turns"
    inputs: ClassVar[tuple[Input, ...]] = (Input(topic=TRADES), Input(topic=QUOTES))
    order = Order.ARRIVAL

    def on_rows(self, rows: Rows) -> list[Emitted]:
        return super().on_rows(rows) if rows.only[0] == 0 else []


class Second(Counting):
    """Version 2, which writes its snapshots in another way, and reads those of version 1."""

    version: ClassVar[int] = 2
    carried = Carried(layout=2, reads=(1,))

    def __init__(self, params: Params, snapshot: bytes | None) -> None:
        super().__init__(params, snapshot.removeprefix(b"seen ") if snapshot else None)

    def snapshot(self) -> bytes:
        return b"seen " + super().snapshot()

    @classmethod
    def upgraded(cls, snapshot: bytes, layout: int) -> bytes:
        assert layout == 1
        return b"seen " + snapshot


class Deaf(Counting):
    """Version 2, which does not read what version 1 wrote."""

    version: ClassVar[int] = 2
    carried = Carried(layout=2)


def made(log: Log) -> Log:
    create_topics(log, 1)
    log.create_topic(TopicConfig(name=QUOTES_SEEN.name, partitions=1))
    return log


def trades(count: int, seed: int = 1) -> NewRecord:
    return rows_record(TRADES, 0, topic_rows(TRADES, np.random.default_rng(seed), count, 0))


def quotes(count: int) -> NewRecord:
    return rows_record(QUOTES, 0, topic_rows(QUOTES, np.random.default_rng(2), count, 0))


def opened(log: Log, kind: type[Every] = Counting, every: int = 1, **how: Any) -> Shard:
    prepare(log, kind)
    options = ShardOptions(**({"snapshot_rows": NEVER} | how))
    shard = Shard(log, kind, kind.params_type(every=every), 0, options)
    shard.open()
    return shard


def stepped(log: Log, kind: type[Every] = Counting, every: int = 1, **how: Any) -> Shard:
    """A shard that has read what there is and committed it; who does not close it, has it killed."""
    shard = opened(log, kind, every, **how)
    while shard.step():
        pass
    shard.commit()
    shard._snapshots.finish()
    return shard


def numbers(log: Log) -> list[tuple[int, int]]:
    """Sum and number of each row."""
    table = logged(log, QUOTES_SEEN)
    return sorted(
        zip(table.column("quotes").to_pylist(), table.column("trade").to_pylist(), strict=True)
    )


def told(*epochs: tuple[int, int]) -> list[tuple[int, int]]:
    """The same by hand: of epochs with a parameter each, and the number of its last trade."""
    total = before = 0
    found = []
    for every, last in epochs:
        for number in range(before + 1, last + 1):
            total += every
            if number % every == 0:
                found.append((total, number))
        before = last
    return found


def holds(log: Log, kind: type[Every] = Counting) -> None:
    """What the log has is what it gives again, and every row is accounted for."""
    found = compare(log, kind, 0)
    assert found
    assert all(one.identical for one in found), found
    assert not [check for check in recount(log, kind) if not check.ok]
