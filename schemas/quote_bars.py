"""Quote bars: what the best bid and offer were over an interval."""

from dataclasses import replace

from schemas.bars import INTERVAL, TS_START
from schemas.field import FLOAT, INT64, Field
from schemas.market import SYMBOL, TS_EVENT
from schemas.topic import Kind, Landing, Partition, Topic


def _mid(name: str, meaning: str) -> Field:
    return Field(
        name=name, type=FLOAT, unit="quote currency", nullable=True, above=0, meaning=meaning
    )


def _count(name: str, unit: str, meaning: str) -> Field:
    return Field(name=name, type=INT64, unit=unit, nullable=False, minimum=0, meaning=meaning)


QUOTE_BARS = Topic(
    name="quote_bars",
    version=1,
    kind=Kind.DERIVED,
    meaning="Mid price and spread of one symbol's best bid and offer in one interval.",
    fields=(
        SYMBOL,
        INTERVAL,
        replace(TS_EVENT, meaning="End of the interval, exclusive: from then on the bar is known."),
        TS_START,
        _mid("open", "Mid that stood at the start, or the first one told; null without any."),
        _mid("high", "Highest mid that stood; null without any."),
        _mid("low", "Lowest mid that stood; null without any."),
        _mid("close", "Last mid that stood; null without any."),
        _mid("mid", "Mean mid, weighted by the time it stood; null where none stood for any time."),
        Field(
            name="spread",
            type=FLOAT,
            unit="quote currency",
            nullable=True,
            minimum=0,
            meaning="Mean of ask less bid, weighted by the time it stood; null where none stood.",
        ),
        _count("quoted_ns", "ns", "How long a mid stood in the interval."),
        _count("quote_count", "rows", "Rows of nbbo in the interval; at least one."),
    ),
    key="symbol",
    event_time="ts_event",
    identity=("symbol", "interval", "ts_event"),
    landing=Landing(order_by=("symbol", "ts_event", "interval"), partition_by=Partition.MONTH),
)
