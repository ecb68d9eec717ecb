"""The registry of topics: the only list of what the platform's records are."""

from schemas.accounts import ACCOUNTS, CASH_MOVEMENTS, CORPORATE_ACTIONS
from schemas.audit_log import AUDIT_LOG
from schemas.bars import BARS, BARS_REVISED, BARS_ROLLED
from schemas.book import BOOK_FAULTS, BOOK_TOP
from schemas.breadth import BREADTH, BREADTH_PARTS, INDEX_LEVELS
from schemas.composite import COMPOSITE_QUOTES, SOURCE_LAGS
from schemas.event_bars import EVENT_BARS
from schemas.execution import (
    ALGORITHM_REPORTS,
    BROKER_ORDERS,
    BROKER_REPORTS,
    ROUTING_DECISIONS,
)
from schemas.faults import CORRECTIONS_UNAPPLIED, DEAD_LETTER, LATE
from schemas.feed_events import FEED_EVENTS
from schemas.field import DeclarationError
from schemas.foreign_schemas import FOREIGN_SCHEMAS
from schemas.indicators import INDICATORS
from schemas.instruments import INSTRUMENTS
from schemas.market import BOOK_EVENTS, QUOTES, TRADES
from schemas.nbbo import NBBO
from schemas.orders import EXECUTIONS, INSTRUCTIONS, ORDER_EVENTS, ORDER_REPORTS, ORDERS
from schemas.positions import BALANCES, LEDGER_FAULTS, LOT_CLOSINGS, MARKS, POSITIONS
from schemas.quality_results import QUALITY_RESULTS
from schemas.quote_bars import QUOTE_BARS
from schemas.relative import BENCHMARK_BARS, RELATIVE
from schemas.scans import SCANS
from schemas.topic import Kind, Topic
from schemas.trade_signs import TRADE_IMPACTS, TRADE_SIGNS
from schemas.vendor_bars import VENDOR_BARS


def _registry(*topics: Topic) -> dict[str, Topic]:
    registry: dict[str, Topic] = {}
    for topic in topics:
        if topic.name in registry:
            raise DeclarationError(f"topic {topic.name!r} is declared twice")
        registry[topic.name] = topic
    return registry


TOPICS: dict[str, Topic] = _registry(
    QUOTES,
    TRADES,
    BOOK_EVENTS,
    FEED_EVENTS,
    VENDOR_BARS,
    BARS,
    BARS_REVISED,
    BARS_ROLLED,
    EVENT_BARS,
    QUOTE_BARS,
    INDICATORS,
    BENCHMARK_BARS,
    RELATIVE,
    NBBO,
    TRADE_SIGNS,
    TRADE_IMPACTS,
    COMPOSITE_QUOTES,
    SOURCE_LAGS,
    BOOK_TOP,
    BOOK_FAULTS,
    LATE,
    DEAD_LETTER,
    CORRECTIONS_UNAPPLIED,
    FOREIGN_SCHEMAS,
    INSTRUMENTS,
    BREADTH_PARTS,
    BREADTH,
    INDEX_LEVELS,
    SCANS,
    QUALITY_RESULTS,
    ACCOUNTS,
    CASH_MOVEMENTS,
    CORPORATE_ACTIONS,
    ORDERS,
    ORDER_EVENTS,
    INSTRUCTIONS,
    ORDER_REPORTS,
    EXECUTIONS,
    ROUTING_DECISIONS,
    ALGORITHM_REPORTS,
    BROKER_ORDERS,
    BROKER_REPORTS,
    MARKS,
    POSITIONS,
    LOT_CLOSINGS,
    BALANCES,
    LEDGER_FAULTS,
    AUDIT_LOG,
)


def topic(name: str) -> Topic:
    """The topic of that name; KeyError naming the known ones where there is none."""
    try:
        return TOPICS[name]
    except KeyError:
        raise KeyError(f"no topic {name!r}; there are {', '.join(TOPICS)}") from None


def raw_topics() -> list[Topic]:
    """The topics that sources write, in order of declaration."""
    return [topic for topic in TOPICS.values() if topic.kind is Kind.RAW]


def market_topics() -> list[Topic]:
    """The raw topics whose frontiers move together: all that sources append watermark rows to."""
    return [topic for topic in raw_topics() if topic.watermarked]


def inboxes() -> dict[str, Topic]:
    """Inbox name to the topic that its accepted rows go to."""
    return {topic.inbox_name: topic for topic in TOPICS.values() if topic.inbox}
