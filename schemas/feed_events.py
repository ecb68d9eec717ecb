"""What live adapters notice: connections, gaps, time-outs, limits. Nothing is lost unseen."""

from dataclasses import replace

from schemas.field import CATEGORY, TEXT, UINT64, Field
from schemas.market import SYMBOL, TS_EVENT, TS_RECV
from schemas.topic import Kind, Landing, Partition, Topic

_DAY_NS = 86_400_000_000_000

FEED_EVENT_KINDS = (
    "connected",
    "refused",
    "disconnected",
    "subscribed",
    "venue_error",
    "heartbeat_timeout",
    "rate_limited",
    "back_pressure",
    "gap",
    "gap_filled",
    "duplicate",
    "skipped",
    "snapshot_failed",
    "resynchronised",
    "behind",
)

FEED_EVENTS = Topic(
    name="feed_events",
    version=1,
    kind=Kind.RAW,
    meaning="Something that a live adapter noticed about its source: no market data, but why some lacks.",
    fields=(
        Field(
            name="source",
            type=CATEGORY,
            unit="none",
            nullable=False,
            meaning="Name of the live source, as in the header of its records.",
        ),
        replace(TS_EVENT, meaning="When the adapter noticed it, by the platform's clock."),
        replace(TS_RECV, meaning="The same time: the platform is the source."),
        Field(
            name="kind",
            type=CATEGORY,
            unit="none",
            nullable=False,
            allowed=FEED_EVENT_KINDS,
            meaning=(
                "What: refused is a connection that was not made; gap and gap_filled tell of sequence "
                "numbers (expected, found); skipped counts messages left out by rule; behind is a row "
                "earlier than what the log has of its symbol."
            ),
        ),
        Field(
            name="stream",
            type=CATEGORY,
            unit="none",
            nullable=True,
            meaning="Which of the source's streams it concerns, as the source names it; null for all.",
        ),
        replace(SYMBOL, nullable=True, meaning="Instrument it concerns; null for the connection."),
        Field(
            name="expected",
            type=UINT64,
            unit="none",
            nullable=True,
            meaning="Sequence number that was to come.",
        ),
        Field(
            name="found",
            type=UINT64,
            unit="none",
            nullable=True,
            meaning="Sequence number that came.",
        ),
        Field(
            name="detail",
            type=TEXT,
            unit="none",
            nullable=True,
            meaning="What more there is to say, for people.",
        ),
    ),
    key="source",
    event_time="ts_event",
    identity=(),
    landing=Landing(order_by=("source", "ts_event"), partition_by=Partition.MONTH),
    retention_ns=30 * _DAY_NS,
    watermarked=False,
)
