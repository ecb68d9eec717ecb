"""The store's HTTP sessions: connections kept under a name between requests, and those without one."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from connectors.chdb_engine import Engine, Session
from connectors.chdb_request import Call
from connectors.clickhouse_statement import StatementError, is_only_select

# As ClickHouse's default_session_timeout and max_session_timeout.
_TIMEOUT_S = 60.0
_TIMEOUT_MAX_S = 3600.0
# Sessions that have only read, of no name: as many as there are statements at once.
_IDLE_MAX = 16

# Its database and its settings.
_Setting = tuple[str, frozenset[tuple[str, str]]]


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
        self._idle: list[tuple[_Setting, Session]] = []
        self._lock = threading.Lock()

    @contextmanager
    def borrow(self, call: Call, settings: Mapping[str, str]) -> Iterator[Session]:
        """A session for one statement: the one that ``session_id`` names, else one in which others have read at most.

        Parameters
        ----------
        call : Call
            The statement, and its database.
        settings : mapping of str to str
            That hold for it.

        Raises
        ------
        StatementError
            Where the named session is at work, or ``session_check=1`` and it is not there; for settings
            that ClickHouse does not take.
        """
        database = call.parameters.get("database") or "default"
        name = call.parameters.get("session_id")
        if not name:
            with self._nameless(call, database, settings) as session:
                yield session
            return
        kept = self._named(name, call.parameters)
        if not kept.busy.acquire(blocking=False):
            raise StatementError(
                f"Code: 373. DB::Exception: Session {name} is locked by a concurrent client. "
                "(SESSION_IS_LOCKED)"
            )
        try:
            _set(kept.session, database, settings)
            yield kept.session
        finally:
            kept.used_s = time.monotonic()
            kept.busy.release()

    def close(self) -> None:
        """End all sessions."""
        for kept in self._kept.values():
            kept.session.close()
        self._kept.clear()
        for _, session in self._idle:
            session.close()
        self._idle.clear()

    @contextmanager
    def _nameless(
        self, call: Call, database: str, settings: Mapping[str, str]
    ) -> Iterator[Session]:
        if not is_only_select(call.statement):
            with self._engine.session() as session:
                _set(session, database, settings)
                yield session
            return
        # To open a session and set it up costs as much as a small query. One is used again with the same settings only:
        # some cannot be taken back (readonly).
        setting = (database, frozenset(settings.items()))
        session = self._take(setting)
        with ExitStack() as undo:
            # Also where the answer is broken off.
            undo.callback(session.close)
            _set(session, database, settings)
            yield session
            undo.pop_all()
        self._give(setting, session)

    def _take(self, setting: _Setting) -> Session:
        with self._lock:
            for at, (has, _) in enumerate(self._idle):
                if has == setting:
                    return self._idle.pop(at)[1]
        return self._engine.session()

    def _give(self, setting: _Setting, session: Session) -> None:
        with self._lock:
            self._idle.append((setting, session))
            old = self._idle.pop(0)[1] if len(self._idle) > _IDLE_MAX else None
        if old is not None:
            old.close()

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


def _set(session: Session, database: str, settings: Mapping[str, str]) -> None:
    session.use(database)
    session.apply(settings)
