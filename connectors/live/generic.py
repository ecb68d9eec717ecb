"""The adapter of a declared mapping: any source that says JSON over WebSocket."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from connectors.feeds.sequence import Found, Numbers
from connectors.feeds.source import FeedError
from connectors.live.adapter import Adapter, Bad, Limits, Message, Noticed, Parsed
from connectors.live.mapping import ControlMapping, FieldSource, LiveMapping, MessageMapping
from connectors.live.paths import MISSING, JsonPath, When
from connectors.live.rates import Rate
from connectors.live.rows import Rows
from connectors.live.values import converter, time_ns
from schemas.field import TIMESTAMP, Field
from schemas.market import BOOK_EVENTS

_CREDENTIAL = re.compile(r"\$\{(\w+)\}")

Read = Callable[[Any, Any, int], Any]


class GenericAdapter(Adapter):
    """Follows a `LiveMapping`.

    Parameters
    ----------
    mapping : LiveMapping
        What the messages are.
    symbols : sequence of str
        In place of the mapping's own, where there are any.
    credentials : mapping of str to str
        For ``${name}``.
    url : str
        In place of the mapping's own, where it is not empty.
    """

    def __init__(
        self,
        mapping: LiveMapping,
        *,
        symbols: Sequence[str] = (),
        credentials: Mapping[str, str],
        url: str = "",
    ) -> None:
        self.source = mapping.name
        self.url = url or mapping.url
        self.limits = Limits(
            connects=mapping.connects.rate,
            sends=mapping.sends.rate,
            requests=Rate(count=1, seconds=1.0),
            heartbeat_s=mapping.heartbeat_s,
            silence_s=mapping.silence_s,
        )
        self._credentials = credentials
        self._mapping = mapping
        self._symbols = tuple(symbols) or mapping.symbols
        self._readers = [_Reader(entry) for entry in mapping.messages]
        self._control = [(When(entry.when), entry) for entry in mapping.control]
        self._numbers: dict[tuple[int, str], Numbers] = {}
        self._joined: set[tuple[int, str]] = set()
        self.is_anew = mapping.sequence_restarts or any(
            one.sequence is not None and one.is_book for one in self._readers
        )

    @property
    def headers(self) -> dict[str, str]:
        """HTTP headers of the connection's opening."""
        return {name: self._filled(value) for name, value in self._mapping.headers.items()}

    def forget(self) -> None:
        """No stream has come over the new connection yet; sequence numbers may begin anew."""
        self._joined.clear()
        if self._mapping.sequence_restarts:
            self._numbers.clear()

    def opened(self) -> list[str]:
        """The subscriptions."""
        self.forget()
        return self._said(self._mapping.subscribe, self._symbols)

    def parse(self, messages: Sequence[Message]) -> Parsed:
        """Rows of the messages that fit an entry; the others are bad."""
        parsed = Parsed()
        rows = Rows()
        for message in messages:
            try:
                self._take(message, orjson.loads(message.payload), rows, parsed)
            except orjson.JSONDecodeError as error:
                parsed.bad.append(Bad(message.number, f"no JSON: {error}", message.payload))
            except ValueError as error:
                parsed.bad.append(Bad(message.number, str(error), message.payload))
        parsed.groups = rows.groups()
        return parsed

    def _take(self, message: Message, value: Any, rows: Rows, parsed: Parsed) -> None:
        for when, entry in self._control:
            if when.fits(value):
                self._control_message(message, value, entry, parsed)
                return
        fitting = [(at, one) for at, one in enumerate(self._readers) if one.when.fits(value)]
        if not fitting:
            raise ValueError("the message fits no entry of the mapping")
        # All of a message is read before any row of it is added: a bad message gives none.
        read = [(at, reader, reader.rows(value, message.recv_ns)) for at, reader in fitting]
        # Entries of one topic tell one event together: without its levels a clear would leave an empty book.
        whole = {
            reader.topic.name
            for _, reader, found in read
            if reader.is_book and any(row.get("action") == "clear" for row in found)
        }
        twice = {
            one[1].topic.name
            for one in read
            if not self._in_order(*one, message, value, parsed, is_whole=one[1].topic.name in whole)
        }
        kept = [
            (reader, row)
            for _, reader, found in read
            if reader.topic.name not in twice
            for row in found
        ]
        # A message may tell of several books, and each of their events ends with it.
        last = {_book(one, row): at for at, (one, row) in enumerate(kept) if one.marks_last}
        for at, (reader, row) in enumerate(kept):
            if reader.marks_last:
                row["is_last"] = at == last[_book(reader, row)]
            rows.add(reader.topic, message.number, message.recv_ns, row)

    def _in_order(
        self,
        at: int,
        reader: "_Reader",
        rows: list[dict[str, Any]],
        message: Message,
        value: Any,
        parsed: Parsed,
        *,
        is_whole: bool,
    ) -> bool:
        """Whether rows are to be kept: not where their number came before.

        But the whole book that a new connection begins with is: its number is that of the last change, which may
        have come before, when another was lost.
        """
        if reader.sequence is None:
            return True
        told = reader.sequence.find(value, value)
        symbol = rows[0].get(reader.topic.key) if rows else reader.symbol(value, message.recv_ns)
        if not rows and (told is MISSING or symbol is None):
            # Nothing says whose message it is, or that it has a number.
            return True
        number = _number(told, reader.sequence)
        symbol = symbol or ""
        stream = (at, symbol)
        # What was lost between two connections is no reason for a third: between those something is lost again.
        is_joined = stream in self._joined
        self._joined.add(stream)
        numbers = self._numbers.setdefault(stream, Numbers())
        expected = numbers.expected
        found = numbers.take(number)
        if found is Found.NEXT or (is_whole and not is_joined and found is Found.TWICE):
            return True
        kind = {Found.AHEAD: "gap", Found.LATE: "gap_filled", Found.TWICE: "duplicate"}[found]
        parsed.noticed.append(
            Noticed(
                kind=kind,
                ts_ns=message.recv_ns,
                stream=reader.topic.name,
                symbol=symbol,
                expected=expected,
                found=number,
            )
        )
        if found is Found.AHEAD and is_joined and self._mapping.on_gap == "reconnect":
            parsed.reconnect = f"gap of {symbol}: {expected} was to come, {number} came"
        return found is not Found.TWICE

    def _control_message(
        self, message: Message, value: Any, entry: ControlMapping, parsed: Parsed
    ) -> None:
        detail = ""
        if entry.detail:
            found = JsonPath(entry.detail).find(value, value)
            detail = "" if found is MISSING else str(found)
        if entry.reply:
            parsed.sends.append(self._filled(entry.reply))
        if entry.kind != "ignore":
            parsed.noticed.append(
                Noticed(kind=entry.kind, ts_ns=message.recv_ns, detail=detail or None)
            )
        if entry.fatal:
            parsed.refusal = detail or message.payload.decode(errors="replace")

    def _said(self, texts: Sequence[str], symbols: Sequence[str]) -> list[str]:
        said: list[str] = []
        for text in texts:
            filled = self._filled(text)
            if ("{symbols}" in filled or "{symbol}" in filled) and not symbols:
                raise FeedError(f"{self.source}: its subscription needs symbols; say --symbols A,B")
            filled = filled.replace("{symbols}", orjson.dumps(list(symbols)).decode())
            if "{symbol}" in filled:
                said += [filled.replace("{symbol}", symbol) for symbol in symbols]
            else:
                said.append(filled)
        return said

    def _filled(self, text: str) -> str:
        def credential(match: re.Match[str]) -> str:
            name = match[1]
            if name not in self._credentials:
                raise FeedError(
                    f"{self.source}: there is no credential {name!r}; put it under [credentials] in "
                    f"tapeflow.toml, or into TAPEFLOW_CREDENTIALS as JSON"
                )
            return self._credentials[name]

        return _CREDENTIAL.sub(credential, text)


class _Reader:
    """An entry of the mapping, made ready to read messages."""

    def __init__(self, entry: MessageMapping) -> None:
        self.topic = entry.declared
        self.when = When(entry.when)
        self.sequence = JsonPath(entry.sequence) if entry.sequence else None
        # An event of a book ends with the message, unless the mapping says otherwise.
        names = {field.name for field in self.topic.fields}
        self.is_book = self.topic.name == BOOK_EVENTS.name
        self.marks_last = "is_last" in names and "is_last" not in entry.fields
        self._each = JsonPath(entry.each) if entry.each else None
        self._reads = [
            (name, _read(self.topic.field(name), source)) for name, source in entry.fields.items()
        ]

    def symbol(self, message: Any, recv_ns: int) -> str | None:
        """Symbol of a message that has no rows, such as one that changes the book's other side; None if unsaid."""
        read = dict(self._reads)[self.topic.key]
        try:
            found: str | None = read(None, message, recv_ns)
        except ValueError:
            return None
        return found

    def rows(self, message: Any, recv_ns: int) -> list[dict[str, Any]]:
        """The rows of a message."""
        parts = [message]
        if self._each is not None:
            parts = self._each.find(message, message)
            if not isinstance(parts, list):
                raise ValueError(f"{self._each.text}: a list was needed")
        return [
            {name: read(part, message, recv_ns) for name, read in self._reads} for part in parts
        ]


def _book(reader: _Reader, row: Mapping[str, Any]) -> tuple[str, Any, Any]:
    """What the book events of a row are of."""
    return reader.topic.name, row.get(reader.topic.key), row.get("venue")


def _read(field: Field, source: FieldSource) -> Read:
    """What reads a field's value out of a part of a message, the message, and its receive time."""
    if source.unit == "received":
        return lambda _part, _message, recv_ns: recv_ns
    convert = converter(field)
    if source.value is not None:
        constant = convert(source.value)
        return lambda _part, _message, _recv_ns: constant
    path = JsonPath(source.path)

    def read(part: Any, message: Any, recv_ns: int) -> Any:
        del recv_ns
        found = path.find(part, message)
        if found is MISSING:
            if field.nullable:
                return None
            raise ValueError(f"{field.name}: nothing at {path.text}")
        if field.type == TIMESTAMP:
            return None if found is None and field.nullable else time_ns(found, source.unit)
        if source.map:
            if str(found) not in source.map:
                raise ValueError(f"{field.name}: {found!r} is none of {', '.join(source.map)}")
            found = source.map[str(found)]
        value = convert(found)
        return value.upper() if source.upper and isinstance(value, str) else value

    return read


def _number(found: Any, path: JsonPath) -> int:
    text = "" if isinstance(found, bool) else str(found)
    if not text.isdecimal() or int(text) >= 2**63:
        raise ValueError(f"{path.text}: a sequence number was needed, not {text[:80]!r}")
    return int(text)
