"""What "newest" means, topic by topic: the fields that name a row's place, within which a later row replaces an earlier."""

from schemas.topic import Topic

# The others' rows replace one another within their key.
_WITHIN: dict[str, tuple[str, ...]] = {
    "quotes": ("venue",),
    "bars": ("interval",),
    "bars_revised": ("interval",),
    "bars_rolled": ("interval",),
    "vendor_bars": ("interval", "price_type"),
    "event_bars": ("bar",),
    "quote_bars": ("interval",),
    "indicators": ("interval", "name"),
    "benchmark_bars": ("interval",),
    "relative": ("interval",),
    "source_lags": ("venue", "interval"),
    "book_top": ("venue",),
    "breadth_parts": ("interval", "symbol"),
    "breadth": ("interval",),
    "index_levels": ("interval",),
    "scans": ("scan",),
    "order_events": ("order_id",),
    "positions": ("strategy", "symbol"),
    "balances": ("currency",),
}

# Always followed: what is asked for its newest value.
LATEST: tuple[str, ...] = (
    "accounts",
    "instruments",
    "positions",
    "balances",
    "marks",
    "quotes",
    "trades",
    "book_top",
    "bars",
    "indicators",
    "index_levels",
    "breadth",
)


def group_fields(topic: Topic) -> tuple[str, ...]:
    """The topic's key, then what else tells rows apart that stand side by side.

    Examples
    --------
    >>> group_fields(TOPICS["bars"])
    ('symbol', 'interval')
    """
    return (topic.key, *_WITHIN.get(topic.name, ()))
