"""Which column of a CSV or Parquet file is which field of a topic: a TOML file, or one line of text."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectors.feeds.source import FeedError
from schemas.field import CATEGORY, FLOAT, TIMESTAMP, Field
from schemas.registry import raw_topics
from schemas.topic import Topic

UNITS = ("s", "ms", "us", "ns", "rfc3339")
_CONSTANT = "const:"
_DELIMITER = re.compile(r"[\t !#$%&*+,./:;<=>?@^_|~-]")
_GRAMMAR = (
    "topic=trades,symbol=sym,ts_event=time:ms,price=px/10000,size=qty,venue=const:XNYS "
    "(also header=no with column numbers from 1, and delimiter=; or | or \\t)"
)
_TABS = ("\\t", "tab")
# What a raw row is where its source does not say.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "trades": {
        "updates_high_low": True,
        "updates_last": True,
        "updates_volume": True,
        "action": "new",
    }
}


@dataclass(frozen=True, kw_only=True)
class FieldSource:
    """Where a field's values come from.

    Parameters
    ----------
    column : str
        Name in the file, or number from 1 where it has no header; empty for a constant.
    constant : str, bool, float or None
        Value of every row, where ``column`` is empty.
    unit : str
        For a time: one of `UNITS`.
    divide_by : float
        For a price or size: the file's number over this is the value.
    values : mapping of str to str
        For a string: the file's word to ours; others stay.
    """

    column: str = ""
    constant: Any = None
    unit: str = ""
    divide_by: float = 1.0
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ColumnMapping:
    """The fields of a topic, each with its source in the file."""

    topic: Topic
    fields: Mapping[str, FieldSource]
    header: bool = True
    delimiter: str = ","

    def __post_init__(self) -> None:
        if not isinstance(self.delimiter, str) or not _DELIMITER.fullmatch(self.delimiter):
            raise FeedError(
                f"mapping for {self.topic.name}: delimiter {self.delimiter!r}: one character was needed, no letter, "
                "digit, quote or line end; such as ; or | or a tab (\\t)"
            )
        known = [one.name for one in self.topic.fields if one.name != "ts_recv"]
        unknown = [name for name in self.fields if name not in known]
        if unknown:
            raise FeedError(
                f"mapping for {self.topic.name}: no field {', '.join(unknown)} can be mapped; there are "
                f"{', '.join(known)}"
            )
        missing = [
            one.name
            for one in self.topic.fields
            if not one.nullable and one.name != "ts_recv" and one.name not in self.fields
        ]
        if missing:
            raise FeedError(
                f"mapping for {self.topic.name}: {', '.join(missing)} must be mapped, to a column or "
                f"to a constant, as in {_GRAMMAR}"
            )
        for name, source in self.fields.items():
            self._check(self.topic.field(name), source)

    def _check(self, declared: Field, source: FieldSource) -> None:
        """Nothing that is said of a field may be without effect."""
        for word, said, kind in (
            ("unit", bool(source.unit), TIMESTAMP),
            ("divide_by", source.divide_by != 1.0, FLOAT),
            ("values", bool(source.values), CATEGORY),
        ):
            if said and (declared.type != kind or not source.column):
                raise FeedError(
                    f"mapping for {self.topic.name}: {word} is for columns of type {kind}, not for "
                    f"{declared.name}"
                )
        if declared.type != TIMESTAMP or not source.column:
            return
        unit = source.unit
        if unit not in UNITS:
            raise FeedError(
                f"mapping for {self.topic.name}: {declared.name} needs a unit, one of "
                f"{', '.join(UNITS)}, as in {declared.name}=time:ms; it has {unit!r}"
            )


def read_mapping(path: Path) -> ColumnMapping:
    """The mapping in a TOML file: ``topic``, ``header``, ``delimiter``, ``[columns]``, ``[constants]``.

    A column is a name, or a table with ``column`` and any of ``unit``, ``divide_by`` and ``values``.

    Raises
    ------
    FeedError
        Naming the file and what is wrong in it.
    """
    try:
        declared = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FeedError(f"mapping {path}: {error}") from error
    try:
        return _from_table(declared)
    except (FeedError, TypeError) as error:
        raise FeedError(f"mapping {path}: {error}") from error


def parse_mapping(text: str) -> ColumnMapping:
    """The mapping in one line of text.

    Examples
    --------
    >>> mapping = parse_mapping("topic=trades,symbol=s,venue=const:X,ts_event=t:ms,price=p/100,size=q")
    >>> mapping.fields["price"].column, mapping.fields["price"].divide_by
    ('p', 100.0)

    Raises
    ------
    FeedError
        Saying which part is wrong and how one is written.
    """
    options: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise FeedError(f"mapping part {part!r}: NAME=VALUE was needed, as in {_GRAMMAR}")
        # A delimiter may be a tab or a blank.
        options[name.strip()] = value.strip() or value
    topic = _topic(options.pop("topic", ""))
    header = options.pop("header", "yes")
    delimiter = options.pop("delimiter", ",")
    if delimiter in _TABS:
        delimiter = "\t"
    if header not in ("yes", "no"):
        raise FeedError(f"mapping part header={header}: yes or no was needed")
    fields = {name: _parse_field(name, value) for name, value in options.items()}
    return ColumnMapping(
        topic=topic,
        fields=_with_defaults(topic, fields),
        header=header == "yes",
        delimiter=delimiter,
    )


def _from_table(declared: dict[str, Any]) -> ColumnMapping:
    topic = _topic(declared.pop("topic", ""))
    columns = declared.pop("columns", {})
    constants = declared.pop("constants", {})
    header, delimiter = declared.pop("header", True), declared.pop("delimiter", ",")
    if declared:
        raise FeedError(
            f"no key {', '.join(declared)}; there are topic, header, delimiter, columns, constants"
        )
    fields = {
        name: FieldSource(**(source if isinstance(source, dict) else {"column": str(source)}))
        for name, source in columns.items()
    }
    fields |= {name: FieldSource(constant=value) for name, value in constants.items()}
    return ColumnMapping(
        topic=topic, fields=_with_defaults(topic, fields), header=header, delimiter=delimiter
    )


def _parse_field(name: str, value: str) -> FieldSource:
    if value.startswith(_CONSTANT):
        return FieldSource(constant=value.removeprefix(_CONSTANT))
    column, colon, unit = value.rpartition(":")
    if colon and unit in UNITS:
        return FieldSource(column=column, unit=unit)
    column, slash, divisor = value.rpartition("/")
    if slash:
        try:
            return FieldSource(column=column, divide_by=float(divisor))
        except ValueError as error:
            raise FeedError(f"mapping part {name}={value}: {divisor!r} is no number") from error
    return FieldSource(column=value)


def _topic(name: str) -> Topic:
    for topic in raw_topics():
        if topic.name == name:
            return topic
    names = ", ".join(topic.name for topic in raw_topics())
    raise FeedError(f"mapping: topic {name!r} was given; one of {names} is needed")


def _with_defaults(topic: Topic, fields: dict[str, FieldSource]) -> dict[str, FieldSource]:
    defaults = _DEFAULTS.get(topic.name, {})
    return {name: FieldSource(constant=value) for name, value in defaults.items()} | fields
