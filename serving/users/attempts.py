"""Failed attempts, counted: after some, a counter is locked for a while, each time for longer.

A counter is a name's, of strangers who know no more than the name; or of somebody who has shown more than that: a device
that is known, a session, a one-time token. Those have counters of their own, which no stranger can lock.
"""

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from serving.users.errors import UsersError
from serving.users.models import NAME_MAX, Attempts
from serving.users.passwords import digest

FREE = 5
_SECOND_NS = 10**9
_FIRST_NS = 15 * _SECOND_NS
_LONGEST_NS = 3_600 * _SECOND_NS
_FORGET_NS = 86_400 * _SECOND_NS
# Names that nobody has are counted too, so that a lock tells nothing; but not any number of them.
_NAMES_MAX = 10_000


def of_device(device: str) -> str:
    """The counter of a known device (`serving.users.known_devices`). No user's name has a colon."""
    return f"device:{device}"


def of_session(user: str) -> str:
    """The counter of a user who is signed in, and shows the password or a code once more."""
    return f"in:{digest(user)[:40]}"


def of_one_time_token(token: str) -> str:
    """The counter of a one-time token: whoever guesses tokens locks none that there is."""
    return f"once:{digest(token)[:40]}"


def lock_ns(count: int) -> int:
    """How long a counter is locked after so many failures in a row, ns.

    Examples
    --------
    >>> [lock_ns(count) // 10**9 for count in (4, 5, 6, 7, 20)]
    [0, 15, 30, 60, 3600]
    """
    if count < FREE:
        return 0
    return min(_LONGEST_NS, _FIRST_NS << min(count - FREE, 32))


def begin_attempt(session: Session, name: str, now: int) -> None:
    """Count an attempt as failed before it is made, so that many at once gain nothing.

    Raises
    ------
    UsersError
        429 where the counter is locked.
    """
    row = _counter(session, name[:NAME_MAX], now)
    if row.locked_until > now:
        wait_s = -((now - row.locked_until) // _SECOND_NS)
        raise UsersError(
            429,
            "locked",
            f"too many failed sign-ins; again in {wait_s} s",
            retry_after_s=wait_s,
        )
    if now - row.last > _FORGET_NS:
        row.count = 0
    row.count += 1
    row.last = now
    row.locked_until = now + lock_ns(row.count)


def uncount_attempt(session: Session, name: str) -> None:
    """The last attempt was no failure, and no success either: what was before it stays."""
    row = session.get(Attempts, name, with_for_update=True)
    if row is not None:
        row.count -= 1
        row.locked_until = 0


def forget_attempts(session: Session, name: str) -> None:
    """The sign-in went well: all before is forgotten."""
    session.execute(delete(Attempts).where(Attempts.name == name))


def _counter(session: Session, name: str, now: int) -> Attempts:
    """The row of a name, made where there is none, and locked until the transaction ends."""
    row = session.get(Attempts, name, with_for_update=True)
    if row is not None:
        return row
    _make_room(session, now)
    # On PostgreSQL several first attempts come here at once. Updating what another has just made waits for it,
    # and locks the row; with "do nothing" it could be forgotten again before it is read.
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    made = insert(Attempts).values(name=name, count=0, last=now, locked_until=0)
    kept = made.on_conflict_do_update(index_elements=[Attempts.name], set_={"name": name})
    session.execute(kept)
    return session.get_one(Attempts, name)


def _make_room(session: Session, now: int) -> None:
    session.execute(delete(Attempts).where(Attempts.last < now - _FORGET_NS))
    count = session.execute(select(func.count()).select_from(Attempts)).scalar_one()
    if count >= _NAMES_MAX:
        oldest = select(Attempts.name).order_by(Attempts.last).limit(count - _NAMES_MAX + 1)
        names = session.scalars(oldest).all()
        session.execute(delete(Attempts).where(Attempts.name.in_(names)))
