"""Reads what ``--from`` and ``--to`` say: a time, or offsets of input topics."""

import re

from connectors.log import Log
from flows.engines.bounds import Bounds
from flows.flow import FlowError
from serving.times import parse_time_ns

_OFFSET = re.compile(r"([A-Za-z_][\w.]*)(?:/(\d+))?=(\d+)")
_EXAMPLES = (
    "2024-01-02, 2024-01-02T14:30:00 (UTC unless it says otherwise), or trades=1200,quotes/0=77"
)


def bounds_of(log: Log, begin: str | None, end: str | None, *, cold: bool = False) -> Bounds:
    """The bounds that two texts give.

    Parameters
    ----------
    log : Log
        Whose topics are named.
    begin, end : str or None
        A time, or ``TOPIC[/PARTITION]=OFFSET`` separated by commas; None for no bound.
    cold : bool
        Whether no snapshot may be used; with times none ever is.

    Raises
    ------
    FlowError
        For a text that is neither, a topic that is not there, or an end before its beginning.
    """
    from_ns, from_offsets = _parsed(log, "--from", begin)
    to_ns, to_offsets = _parsed(log, "--to", end)
    if from_ns is not None and to_ns is not None and from_ns >= to_ns:
        raise FlowError(f"replay: --from {begin} is not before --to {end}")
    for where, offset in from_offsets.items():
        if to_offsets.get(where, offset + 1) <= offset:
            raise FlowError(f"replay: --from {begin} is not before --to {end} in {where[0]}")
    return Bounds(
        from_ns=from_ns, to_ns=to_ns, from_offsets=from_offsets, to_offsets=to_offsets, cold=cold
    )


def _parsed(
    log: Log, option: str, text: str | None
) -> tuple[int | None, dict[tuple[str, int | None], int]]:
    if text is None:
        return None, {}
    if "=" not in text:
        return _time_ns(option, text), {}
    known = log.topics()
    offsets: dict[tuple[str, int | None], int] = {}
    for part in text.split(","):
        found = _OFFSET.fullmatch(part.strip())
        if found is None:
            raise FlowError(f"replay: {option} {text!r}: {part!r} is not like {_EXAMPLES}")
        topic, partition, offset = found.groups()
        if topic not in known:
            raise FlowError(f"replay: {option} {text!r}: the log has no topic {topic!r}")
        if partition is not None and int(partition) >= known[topic].partitions:
            raise FlowError(
                f"replay: {option} {text!r}: {topic} has partitions 0 to {known[topic].partitions - 1}"
            )
        offsets[topic, None if partition is None else int(partition)] = int(offset)
    return None, offsets


def _time_ns(option: str, text: str) -> int:
    try:
        return parse_time_ns(text)
    except ValueError as error:
        raise FlowError(
            f"replay: {option} {text!r} is neither a time nor offsets: {_EXAMPLES} ({error})"
        ) from error
