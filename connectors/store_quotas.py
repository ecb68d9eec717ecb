"""Limits of a statement, and quotas of a user over time, on the embedded store. What a statement says changes neither."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import TypeVar

from connectors.clickhouse_statement import StatementError

_GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one statement may take.

    Parameters
    ----------
    result_rows, result_bytes : int
        Of the answer; the bytes as they are sent, before compression.
    read_rows, read_bytes : int
        From tables.
    seconds : int
        From its start to its end.
    memory_bytes : int
        At a time.
    threads : int
        Of the engine.
    at_once : int
        Statements of one user at the same time.
    """

    result_rows: int = 1_000_000
    result_bytes: int = _GIB // 4
    read_rows: int = 2_000_000_000
    read_bytes: int = 200 * _GIB
    seconds: int = 60
    memory_bytes: int = 2 * _GIB
    threads: int = 2
    at_once: int = 4

    def settings(self, asked: Mapping[str, str]) -> dict[str, str]:
        """Settings of ClickHouse that hold for a session, and that it cannot change any more.

        Parameters
        ----------
        asked : mapping of str to str
            What the request asks for; a limit of its own may be tighter, not wider.

        Raises
        ------
        StatementError
            Where it asks for more than there is.
        """
        found = {
            name: str(_tighter(name, asked, getattr(self, limit)))
            for name, limit in _SETTINGS.items()
        }
        cuts = asked.get("result_overflow_mode", "throw")
        if cuts == "break" and "max_result_rows" in asked:
            # The client itself wants the first rows only, and its number says where the cut is; bytes are
            # counted where they are sent.
            found |= {"result_overflow_mode": "break", "max_result_bytes": "0"}
        elif cuts == "throw":
            found["result_overflow_mode"] = "throw"
        else:
            raise StatementError(
                f"Code: 452. DB::Exception: result_overflow_mode = {cuts!r} needs max_result_rows, and "
                "is break or throw. (SETTING_CONSTRAINT_VIOLATION)"
            )
        return {**found, **_FIXED}


# ClickHouse's setting of each limit.
_SETTINGS = {
    "max_result_rows": "result_rows",
    "max_result_bytes": "result_bytes",
    "max_rows_to_read": "read_rows",
    "max_bytes_to_read": "read_bytes",
    "max_execution_time": "seconds",
    "max_memory_usage": "memory_bytes",
    "max_threads": "threads",
}
LIMIT_SETTINGS = frozenset({*_SETTINGS, "result_overflow_mode"})
# The last one forbids changes of data and of settings, and so comes last.
_FIXED = {
    "read_overflow_mode": "throw",
    "timeout_overflow_mode": "throw",
    "max_temporary_data_on_disk_size_for_query": str(4 * _GIB),
    "allow_ddl": "0",
    "allow_introspection_functions": "0",
    "readonly": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What the statements of one user may take within an interval, together.

    Parameters
    ----------
    interval_s : int
        Intervals follow one another, each as long.
    queries, result_bytes, read_rows, seconds : int
        Statements, bytes of their answers, rows read, seconds of running.
    """

    interval_s: int = 3600
    queries: int = 20_000
    result_bytes: int = 20 * _GIB
    read_rows: int = 100_000_000_000
    seconds: int = 3600


@dataclass(slots=True)
class _Used:
    begun_s: float
    queries: int = 0
    result_bytes: int = 0
    read_rows: int = 0
    seconds: float = 0.0
    running: int = 0


@dataclass(slots=True)
class Statement:
    """What a statement that runs has taken so far; whoever runs it writes it here."""

    result_bytes: int = 0
    read_rows: int = 0
    bytes_max: int = 0

    def read(self, rows: int) -> None:
        """Note the rows read so far."""
        self.read_rows = max(self.read_rows, rows)

    def sent(self, count: int) -> None:
        """Count bytes of the answer.

        Raises
        ------
        StatementError
            Where the answer is longer than it may be.
        """
        self.result_bytes += count
        if self.bytes_max and self.result_bytes > self.bytes_max:
            raise StatementError(
                f"Code: 396. DB::Exception: Limit for result exceeded, max bytes: {self.bytes_max}: the "
                "answer is cut off here; ask for less at a time. (TOO_MANY_ROWS_OR_BYTES)"
            )


class Quotas:
    """Counts what users take.

    Parameters
    ----------
    now : callable
        Seconds of a clock that only goes forward.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._used: dict[str, _Used] = {}
        self._lock = threading.Lock()

    @contextmanager
    def statement(self, user: str, limits: Limits, quota: Quota) -> Iterator[Statement]:
        """Let a statement run, and count what it takes.

        Raises
        ------
        StatementError
            Where too many of the user's run already, or the interval's quota is used up.
        """
        used = self._begin(user, limits, quota)
        taken = Statement(bytes_max=limits.result_bytes)
        begun_s = self._now()
        try:
            yield taken
        finally:
            with self._lock:
                used.running -= 1
                used.result_bytes += taken.result_bytes
                used.read_rows += taken.read_rows
                used.seconds += self._now() - begun_s

    def _begin(self, user: str, limits: Limits, quota: Quota) -> _Used:
        with self._lock:
            now_s = self._now()
            used = self._used.setdefault(user, _Used(now_s))
            if now_s - used.begun_s >= quota.interval_s:
                # What runs still was begun in the old interval and counts in the new one: it ends there.
                passed = (now_s - used.begun_s) // quota.interval_s * quota.interval_s
                used.begun_s += passed
                used.queries = used.result_bytes = used.read_rows = 0
                used.seconds = 0.0
            if used.running >= limits.at_once:
                raise StatementError(
                    f"Code: 202. DB::Exception: Too many simultaneous queries for user {user}. Current: "
                    f"{used.running}, maximum: {limits.at_once}. (TOO_MANY_SIMULTANEOUS_QUERIES)"
                )
            for name in ("queries", "result_bytes", "read_rows", "seconds"):
                if getattr(used, name) >= getattr(quota, name):
                    rest_s = used.begun_s + quota.interval_s - now_s
                    raise StatementError(
                        f"Code: 201. DB::Exception: Quota for user {user} for {quota.interval_s} s has been "
                        f"exceeded: {name} = {getattr(used, name):.0f}/{getattr(quota, name)}. Interval will "
                        f"end in {rest_s:.0f} s. (QUOTA_EXCEEDED)"
                    )
            used.queries += 1
            used.running += 1
            return used


V = TypeVar("V", Limits, Quota)


def changed(values: V, changes: Mapping[str, int]) -> V:
    """The values with others in places.

    Raises
    ------
    ValueError
        For a name that is none, or a number that is none.
    """
    known = [field.name for field in fields(values)]
    for name, value in changes.items():
        if name not in known:
            raise ValueError(f"{name!r} is none of {', '.join(known)}")
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} = {value!r} must be a whole number from 1 on")
    return replace(values, **changes)


def _tighter(name: str, asked: Mapping[str, str], most: int) -> int:
    if name not in asked:
        return most
    try:
        wanted = int(float(asked[name]))
    except (ValueError, OverflowError):
        wanted = 0
    if not 1 <= wanted <= most:
        # As ClickHouse says it of a constraint; 0 would be no limit.
        raise StatementError(
            f"Code: 452. DB::Exception: Setting {name} shouldn't be greater than {most}, nor less than 1. "
            "(SETTING_CONSTRAINT_VIOLATION)"
        )
    return wanted
