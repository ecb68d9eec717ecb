"""The store's HTTP sessions: connections kept under a name between requests, and one-off ones."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from connectors.chdb_engine import Engine, Session
from connectors.clickhouse_statement import StatementError

# As ClickHouse's default_session_timeout and max_session_timeout.
_TIMEOUT_S = 60.0
_TIMEOUT_MAX_S = 3600.0


@dataclass
class _Kept:
    session: Session
    timeout_s: float
    used_s: float
    busy: threading.Lock = field(default_factory=threading.Lock)


class Sessions:
    """Lends sessions to requests.

    Parameters
    ----------
    engine : Engine
        What makes them.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    @contextmanager
    def borrow(self, parameters: Mapping[str, str]) -> Iterator[Session]:
        """A session for one statement: of its own, or the one that ``session_id`` names.

        Raises
        ------
        StatementError
            Where the named session is at work, or ``session_check=1`` and it is not there.
        """
        name = parameters.get("session_id")
        if not name:
            with self._engine.session() as session:
                yield session
            return
        kept = self._named(name, parameters)
        if not kept.busy.acquire(blocking=False):
            raise StatementError(
                f"Code: 373. DB::Exception: Session {name} is locked by a concurrent client. "
                "(SESSION_IS_LOCKED)"
            )
        try:
            yield kept.session
        finally:
            kept.used_s = time.monotonic()
            kept.busy.release()

    def close(self) -> None:
        """End all sessions."""
        for kept in self._kept.values():
            kept.session.close()
        self._kept.clear()

    def _named(self, name: str, parameters: Mapping[str, str]) -> _Kept:
        now = time.monotonic()
        with self._lock:
            self._end_old(now)
            if name not in self._kept:
                if parameters.get("session_check") == "1":
                    raise StatementError(
                        f"Code: 372. DB::Exception: Session {name} not found. (SESSION_NOT_FOUND)"
                    )
                timeout_s = min(
                    float(parameters.get("session_timeout", _TIMEOUT_S)), _TIMEOUT_MAX_S
                )
                self._kept[name] = _Kept(self._engine.session(), timeout_s, now)
            return self._kept[name]

    def _end_old(self, now: float) -> None:
        for name, kept in list(self._kept.items()):
            if now - kept.used_s > kept.timeout_s and not kept.busy.locked():
                del self._kept[name]
                kept.session.close()
