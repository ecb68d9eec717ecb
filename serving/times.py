"""Times as people read them."""

from datetime import UTC, datetime


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
