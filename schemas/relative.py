"""Bars of benchmarks, for whoever compares with them, and what the comparison gives: beta and correlation."""

from dataclasses import replace

from schemas.bars import BARS, INTERVAL
from schemas.field import CATEGORY, FLOAT, Field
from schemas.market import SYMBOL, TS_EVENT
from schemas.topic import Kind, Landing, Partition, Topic

BENCHMARK_BARS = Topic(
    name="benchmark_bars",
    version=1,
    kind=Kind.DERIVED,
    meaning="The closes of benchmarks: few enough that every shard can read all of them.",
    fields=tuple(
        field for field in BARS.fields if field.name in ("symbol", "interval", "ts_event", "close")
    ),
    key="symbol",
    event_time="ts_event",
    identity=("symbol", "interval", "ts_event"),
    landing=Landing(order_by=("symbol", "ts_event", "interval"), partition_by=Partition.MONTH),
)

RELATIVE = Topic(
    name="relative",
    version=1,
    kind=Kind.DERIVED,
    meaning="How one symbol moves with its benchmark, after each of its bars.",
    fields=(
        SYMBOL,
        Field(
            name="benchmark",
            type=CATEGORY,
            unit="none",
            nullable=False,
            meaning="Symbol that it is compared with.",
        ),
        replace(INTERVAL, meaning="Interval of the bars that are compared."),
        replace(TS_EVENT, meaning="End of the bar after which the values hold."),
        Field(
            name="beta",
            type=FLOAT,
            unit="none",
            nullable=True,
            meaning=(
                "Slope of the symbol's returns from bar to bar on the benchmark's, by least squares; 0 where the "
                "benchmark did not move; null in the warm-up, and where either has no close at this end."
            ),
        ),
        Field(
            name="correlation",
            type=FLOAT,
            unit="-1 to 1",
            nullable=True,
            meaning="Correlation of the closes; 0 where either did not move; null as beta is.",
        ),
    ),
    key="symbol",
    event_time="ts_event",
    identity=("symbol", "interval", "ts_event"),
    landing=Landing(order_by=("symbol", "ts_event", "interval"), partition_by=Partition.MONTH),
)
