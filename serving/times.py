"""Times as people read and write them."""

import re
from datetime import UTC, datetime

_PLACES_MAX = 9
_FRACTION = re.compile(r"[.,](\d+)")


def wall_text(time_ns: int | None) -> str:
    """UTC to the millisecond, such as ``2025-01-02 14:30:00.123``; empty for None.

    Examples
    --------
    >>> wall_text(1_735_828_200_123_456_789)
    '2025-01-02 14:30:00.123'
    """
    if time_ns is None:
        return ""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{rest // 1_000_000:03d}"


def parse_time_ns(text: str) -> int:
    """The ns since 1970 UTC of a time in ISO 8601, which is in UTC unless it says otherwise.

    Raises
    ------
    ValueError
        For what is no time, or has more than nine places behind the second.

    Examples
    --------
    >>> parse_time_ns("2025-01-02T15:30:00.123456789+01:00")
    1735828200123456789
    """
    time = datetime.fromisoformat(text)
    since = (time if time.tzinfo else time.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    # Python's times hold six places, and leave out what comes behind them.
    found = _FRACTION.search(text)
    places = "" if found is None else found[1]
    if len(places) > _PLACES_MAX:
        raise ValueError(f"a second has nine places at most, {text!r} has {len(places)}")
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + int(
        places.ljust(_PLACES_MAX, "0")
    )
