"""What a feed is told and what it tells: options, progress, summary."""

from dataclasses import dataclass, field

from connectors.feeds.append import WALL
from connectors.feeds.mapping import ColumnMapping
from connectors.feeds.pace import Clock
from connectors.feeds.reading import Window
from schemas.sessions import DEFAULT_CALENDAR


@dataclass(frozen=True, kw_only=True)
class FeedOptions:
    """How to feed.

    Parameters
    ----------
    format : str or None
        Name of the files' format; None detects it.
    mapping : ColumnMapping or None
        For CSV and Parquet files of no known format.
    conditions : str
        Table of sale conditions for TAQ trades: ``vendor`` or ``sip`` (see `feeds.conditions`).
    speed : float or None
        Multiple of real time at which event time passes; None is as fast as can be.
    start_ns, end_ns : int or None
        Only rows from ``start_ns`` on and before ``end_ns``, ns since 1970 UTC.
    late_ok, again : bool
        Feed days older than what their symbols have; feed files that were fed before.
    ts_recv : str
        ``wall`` (when the rows are appended) or ``event`` (their event time).
    calendar : str
        Whose sessions end with watermark rows (exchange_calendars).
    batch_rows : int
        Most rows of a record.
    live : bool
        Whether the source is live: records say so, and the open session is left open.
    clock : Clock
        Tells the wall time; a test's own.
    """

    format: str | None = None
    mapping: ColumnMapping | None = None
    conditions: str = "vendor"
    speed: float | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    late_ok: bool = False
    again: bool = False
    ts_recv: str = WALL
    calendar: str = DEFAULT_CALENDAR
    batch_rows: int = 8192
    live: bool = False
    clock: Clock = field(default_factory=Clock)

    @property
    def window(self) -> Window:
        """The event times that are wanted."""
        return Window(start_ns=self.start_ns, end_ns=self.end_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedProgress:
    """How far a feed is: rows appended, dead letters, bytes of the files read, of how many, event time."""

    rows: int
    rejected: int
    bytes_done: int
    bytes_total: int
    ts_event_ns: int


@dataclass(frozen=True, kw_only=True)
class FileSummary:
    """What became of a file, or of one part of it.

    ``lines`` counts those done, ``skipped`` those left out by the format's own rules, by reason; ``note``
    says what is not as usual.
    """

    name: str
    part: str
    topic: str
    lines: int
    rows: int
    rejected: int
    status: str
    skipped: dict[str, int] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class FeedSummary:
    """What a feed did.

    Parameters
    ----------
    files : tuple of FileSummary
        Their parts, in the order in which they were named; counts include those of a killed earlier part.
    skipped : tuple of (str, str)
        Files that lie beside and are not fed, each with the reason.
    rows : dict of str to int
        Rows that this call appended, by topic.
    rejected : int
        Dead letters that this call appended.
    commits : int
        Commits that this call made.
    """

    files: tuple[FileSummary, ...]
    skipped: tuple[tuple[str, str], ...]
    rows: dict[str, int]
    rejected: int
    commits: int
