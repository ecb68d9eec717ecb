"""Changes of accounts and corporate actions, from the command line or the API: rows of the log, audited as such."""

import getpass
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal, InvalidOperation
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import pyarrow as pa

from connectors.audit_log import AuditEntry, AuditWriter, OutdatedError
from connectors.log import Log, NewRecord, open_log
from connectors.records import Partitioner, rows_record
from connectors.scan import scan_rows
from connectors.topics import create_topics
from flows.orders.money import minor_digits
from schemas.accounts import ACCOUNTS, CASH_MOVEMENTS, CORPORATE_ACTIONS, FIRM
from schemas.field import DECIMAL, RECEIVE_TIME, Field
from schemas.topic import Topic
from schemas.validation import validate
from serving.settings import Settings, SettingsError, nearest

Row = dict[str, Any]

_NUMBERS = tuple(field.name for field in ACCOUNTS.fields if field.is_number)
_DEFAULTS: Row = {
    "currency": "USD",
    "type": "cash",
    "self_trade_allowed": False,
    "halted": False,
}
_NONE = "none"


class AccountError(SettingsError):
    """A change of an account that makes no sense; the message says what was needed."""


class UnknownAccountError(AccountError):
    """There is no account of that name."""


Audited = Callable[[str, str, Sequence[NewRecord], Callable[[], bool]], None]

P = ParamSpec("P")
T = TypeVar("T")

# So often others may have come first.
_TRIES = 100


def _settled(
    deed: "Callable[Concatenate[Accounts, P], T]",
) -> "Callable[Concatenate[Accounts, P], T]":
    """Do it anew where what it has read was changed before its rows were appended.

    A row of an account has all its values: appended beside another change it would take that back, a kill switch too.
    """

    @wraps(deed)
    def again(accounts: "Accounts", /, *args: P.args, **kwargs: P.kwargs) -> T:
        for _ in range(_TRIES):
            accounts.begin()
            with suppress(OutdatedError):
                return deed(accounts, *args, **kwargs)
        raise AccountError("others change accounts at the same time, again and again: try later")

    return again


class Accounts:
    """The accounts of a log, and what may be done about them.

    Parameters
    ----------
    log : Log
        With the topics made.
    user : str
        Who does it: in the rows, and in the audit log.
    audited : callable or None
        Appends records and the audit log's row of an action and its subject in one commit, if what it is given last
        holds (`AuditWriter.append`); None: as of the command line.
    """

    def __init__(self, log: Log, user: str, audited: Audited | None = None) -> None:
        self._log = log
        self._user = user
        self._audited = audited or self._from_command_line
        self._read_to: dict[tuple[str, int], int] = {}

    def begin(self) -> None:
        """What is in the log now is what the next change is made from."""
        self._read_to = self._ends()

    def newest(self) -> dict[str, Row]:
        """Each account's newest row, in order of name; `FIRM` is all of them."""
        found: dict[str, Row] = {}
        for row in self._rows(ACCOUNTS):
            found[row["account"]] = row
        return dict(sorted(found.items()))

    @_settled
    def open(self, name: str, values: Mapping[str, Any], deposit: Decimal | None) -> str:
        """Make an account, with its first cash; what was done, in words.

        The same again changes nothing: what the account has must be equal, and the deposit has the identifier
        ``opening``.

        Raises
        ------
        AccountError
            Where the account has other values already; for a deposit as `move_cash` refuses it.
        """
        known = self.newest().get(name)
        wanted = {**_DEFAULTS, **values}
        records: list[NewRecord] = []
        if known is None:
            records.append(self._record(ACCOUNTS, self._account_row(name, wanted)))
        elif any(known[key] != value for key, value in wanted.items() if key != "halted"):
            raise AccountError(
                f"account {name!r} is there already, with other values; change it with "
                f"`tapeflow account set {name}`"
            )
        currency = str(wanted["currency"])
        if deposit is not None and not self._was_booked(name, "opening"):
            row = self._movement(name, deposit, currency, "opening", "deposit")
            records.append(self._record(CASH_MOVEMENTS, row))
        if not records:
            return f"account {name} is there already: nothing changed"
        self._append("account_open", name, records)
        paid = "" if deposit is None else f", {deposit} {currency} paid in"
        return f"account {name}: {wanted['type']}, {currency}{paid}"

    @_settled
    def change(self, name: str, values: Mapping[str, Any], *, action: str = "account_set") -> str:
        """Change some values of an account; the others stay. What was done, in words.

        Raises
        ------
        AccountError
            Where there is no such account (`FIRM` is made).
        """
        known = self.newest().get(name)
        if known is None and name != FIRM:
            raise UnknownAccountError(self._unknown(name))
        before = {**_DEFAULTS, **(known or {})}
        changed = {key: value for key, value in values.items() if before.get(key) != value}
        if known is not None and not changed:
            return f"account {name} is so already: nothing changed"
        row = self._account_row(name, {**before, **changed})
        self._append(action, name, [self._record(ACCOUNTS, row)])
        told = ", ".join(f"{key} {_text(value)}" for key, value in changed.items())
        return f"account {name}: {told or 'made'}"

    @_settled
    def move_cash(
        self,
        name: str,
        amount: Decimal,
        *,
        currency: str | None,
        kind: str | None,
        movement_id: str | None,
    ) -> str:
        """Book cash into an account or out of it; what was done, in words.

        Raises
        ------
        AccountError
            Where there is no such account, or for an amount of nothing or of parts of the currency's minor unit.
        """
        known = self.newest().get(name)
        if known is None or name == FIRM:
            raise UnknownAccountError(self._unknown(name))
        movement = movement_id or str(uuid.uuid4())
        if self._was_booked(name, movement):
            return f"movement {movement} of {name} was booked already: nothing changed"
        kind = kind or ("withdrawal" if amount < 0 else "deposit")
        currency = currency or str(known["currency"])
        row = self._movement(name, amount, currency, movement, kind)
        self._append("account_cash", name, [self._record(CASH_MOVEMENTS, row)])
        return f"account {name}: {kind} of {amount} {currency}, movement {movement}"

    @_settled
    def act(self, actions: Sequence[Mapping[str, Any]]) -> str:
        """Tell corporate actions; those that are known change nothing. How many were new, in words."""
        seen = {row["action_id"] for row in self._rows(CORPORATE_ACTIONS)}
        new: dict[str, Mapping[str, Any]] = {}
        for one in actions:
            if one["action_id"] not in seen:
                new.setdefault(str(one["action_id"]), one)
        if new:
            batch = _checked(CORPORATE_ACTIONS, list(new.values()))
            self._append(
                "corporate_actions",
                ", ".join(list(new)[:10]),
                [rows_record(CORPORATE_ACTIONS, 0, batch)],
            )
        return f"corporate actions: {len(new)} new, {len(actions) - len(new)} known already"

    def actions(self) -> list[Row]:
        """All corporate actions, in order of ex time."""
        rows = {row["action_id"]: row for row in reversed(list(self._rows(CORPORATE_ACTIONS)))}
        return sorted(rows.values(), key=lambda row: (row["ts_event"], row["action_id"]))

    def _append(self, action: str, subject: str, records: Sequence[NewRecord]) -> None:
        self._audited(action, subject, records, lambda: self._ends() == self._read_to)

    def _ends(self) -> dict[tuple[str, int], int]:
        return {
            (topic.name, partition): self._log.end(topic.name, partition)
            for topic in (ACCOUNTS, CASH_MOVEMENTS, CORPORATE_ACTIONS)
            for partition in range(self._log.topics()[topic.name].partitions)
        }

    def _rows(self, topic: Topic) -> Iterator[Row]:
        for partition in range(self._log.topics()[topic.name].partitions):
            for _, batch in scan_rows(self._log, topic, partition):
                yield from _plain(batch).to_pylist()

    def _was_booked(self, account: str, movement_id: str) -> bool:
        return any(
            (row["account"], row["movement_id"]) == (account, movement_id)
            for row in self._rows(CASH_MOVEMENTS)
        )

    def _account_row(self, name: str, values: Mapping[str, Any]) -> Row:
        row = {field.name: values.get(field.name) for field in ACCOUNTS.fields}
        now = time.time_ns()
        return row | {"account": name, "ts_event": now, RECEIVE_TIME: now, "user": self._user}

    def _movement(
        self, account: str, amount: Decimal, currency: str, movement_id: str, kind: str
    ) -> Row:
        digits = minor_digits(currency)
        if amount == 0 or amount != round(amount, digits):
            raise AccountError(
                f"{amount} {currency} cannot be booked: {currency} has {digits} decimals, and some of it must move"
            )
        now = time.time_ns()
        return {
            "account": account,
            "ts_event": now,
            RECEIVE_TIME: now,
            "movement_id": movement_id,
            "kind": kind,
            "amount": amount,
            "currency": currency,
            "user": self._user,
        }

    def _record(self, topic: Topic, row: Mapping[str, Any]) -> NewRecord:
        partitions = self._log.topics()[topic.name].partitions
        partition = Partitioner(partitions).of(str(row[topic.key]))
        return rows_record(topic, partition, _checked(topic, [row]))

    def _from_command_line(
        self, action: str, subject: str, records: Sequence[NewRecord], holds: Callable[[], bool]
    ) -> None:
        writer = AuditWriter(self._log)
        entry = AuditEntry(
            actor=self._user,
            ts_event=time.time_ns(),
            action=action,
            result="done",
            subject=subject,
            origin="command line",
        )
        try:
            writer.append([entry], records, holds=holds)
        finally:
            writer.close()

    def _unknown(self, name: str) -> str:
        known = [one for one in self.newest() if one != FIRM]
        return (
            f"there is no account {name!r}{nearest(name, known)}; make it with "
            f"`tapeflow account open {name}`"
        )


@contextmanager
def accounts_of(settings: Settings, user: str | None) -> Iterator[Accounts]:
    """The accounts of the settings' log; without a name, the user of this machine does it."""
    with open_log(settings.log) as log:
        create_topics(log, settings.partitions)
        yield Accounts(log, user or getpass.getuser())


def limits_of(texts: Sequence[str]) -> Row:
    """Values of ``NAME=NUMBER``; none takes a limit away.

    Raises
    ------
    AccountError
        For a name or number that an account cannot have.
    """
    values: Row = {}
    for text in texts:
        name, _, number = text.partition("=")
        if name not in _NUMBERS:
            raise AccountError(
                f"--limit {text}: no limit is called {name!r}{nearest(name, _NUMBERS)}"
            )
        values[name] = None if number == _NONE else _number(ACCOUNTS.field(name), number, text)
    return values


def amount_of(text: str) -> Decimal:
    """An exact amount.

    Raises
    ------
    AccountError
        Where the text is no number.
    """
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("nan")
    if not amount.is_finite():
        raise AccountError(f"{text}: it must be an amount such as 100000 or -12.50")
    return amount


def _number(field: Field, number: str, text: str) -> Decimal | int:
    try:
        return Decimal(number) if field.type == DECIMAL else int(number)
    except (InvalidOperation, ValueError):
        raise AccountError(f"--limit {text}: it must be {field.name}=NUMBER, or none") from None


def _checked(topic: Topic, rows: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
    """The rows as a batch.

    Raises
    ------
    AccountError
        With the reason, where a row may not be in the topic.
    """
    try:
        batch = topic.batch_of_rows(rows)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise AccountError(f"{topic.name}: {error}") from error
    found = validate(topic, batch)
    if found.reasons:
        raise AccountError(f"{topic.name}: {found.reasons[0]}")
    return batch


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows with times as integers."""
    columns = [
        column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _text(value: object) -> str:
    return _NONE if value is None else str(value).lower() if isinstance(value, bool) else str(value)
