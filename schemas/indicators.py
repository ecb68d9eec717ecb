"""Technical indicators: one row an indicator value."""

from dataclasses import replace

from schemas.bars import INTERVAL
from schemas.field import CATEGORY, FLOAT, Field
from schemas.market import SYMBOL, TS_EVENT
from schemas.topic import Kind, Landing, Partition, Topic

INDICATORS = Topic(
    name="indicators",
    version=1,
    kind=Kind.DERIVED,
    meaning="The value of one indicator after one bar.",
    fields=(
        SYMBOL,
        replace(INTERVAL, meaning="Interval of the bars that the indicator is computed from."),
        replace(TS_EVENT, meaning="End of the bar after which the value holds."),
        Field(
            name="name",
            type=CATEGORY,
            unit="none",
            nullable=False,
            meaning="Indicator, parameters and output, such as rsi_14 or macd_12_26_9_signal.",
        ),
        Field(
            name="value",
            type=FLOAT,
            unit="as the indicator's definition says",
            nullable=True,
            meaning="The value; null while the indicator warms up or is undefined.",
        ),
    ),
    key="symbol",
    event_time="ts_event",
    identity=("symbol", "interval", "ts_event", "name"),
    landing=Landing(
        order_by=("symbol", "ts_event", "interval", "name"), partition_by=Partition.MONTH
    ),
)
