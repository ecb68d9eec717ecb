"""What a client may say of an order, and how its JSON becomes rows: decimals exactly, mistakes by their place.

One order is read by the model, a batch column-wise by Arrow; a batch that Arrow will not take is read row by row,
which finds the words for what is wrong with it.
"""

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
from pydantic import BeforeValidator, ValidationError, create_model
from pydantic import Field as ModelField

from flows.orders.commands import REPLACEABLE
from schemas.field import CATEGORY, DECIMAL, INT64, TEXT, TIMESTAMP, Field
from schemas.models import Row, model
from schemas.orders import ORDERS

ORDERS_MAX = 10_000
"""Orders of one request."""

TEXT_MAX = 128
"""Characters of a text, such as an identifier; `LONG_TEXT_MAX` of those that hold lists or objects."""

LONG_TEXT_MAX = 4096

_OBJECT = "algorithm_params"
_LONG_TEXTS = (_OBJECT, "lots")
_PLATFORMS = ("ts_event", "ts_recv", "command", "order_id", "user", "correlation_id")
# What the door puts in where a client leaves it out: as brokers do.
DEFAULTS = {"time_in_force": "day"}

REQUESTED: tuple[Field, ...] = tuple(
    field for field in ORDERS.fields if field.name not in _PLATFORMS
)
"""The fields of `orders` that a client gives; the others are the platform's."""

_NAMES = ("account", "client_order_id", "symbol")
_DECIMALS = frozenset(field.name for field in REQUESTED if field.type == DECIMAL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# More than an order has, as a rule: what is named further on only, is found when that fails.
_HEAD_BYTES = 2048
_OPEN, _CLOSE = b'{"r":', b"}"


class RequestFaultError(ValueError):
    """A body that holds no orders, or an order with faults.

    Parameters
    ----------
    detail : str
        What was needed; names no value.
    faults : list of tuple of str and str
        Field and what is wrong with it, where it is a matter of fields.
    """

    def __init__(self, detail: str, faults: list[tuple[str, str]] | None = None) -> None:
        super().__init__(detail)
        self.faults = faults or []


def _refuse_constant(name: str) -> Any:
    raise RequestFaultError(f"{name} is no JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RequestFaultError("an object gives a member twice: to take one would be a guess")
    return found


# Made once: `json.loads` makes one a call.
_JSON = json.JSONDecoder(
    parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_object
)


@dataclass(frozen=True, kw_only=True)
class ReadOrders:
    """What the body of a batch held.

    Parameters
    ----------
    columns : dict of str to pyarrow.Array
        The requested fields of the readable orders, defaults filled in, n rows.
    rows : list of int
        Place in the body of each, ascending.
    faults : dict of int to str
        Why, of the others, by place.
    """

    columns: dict[str, pa.Array]
    rows: list[int]
    faults: dict[int, str]


@cache
def order_model() -> type[Row]:
    """The model of a new order as a client gives it."""
    known = model(ORDERS).model_fields
    fields: dict[str, Any] = {}
    for field in REQUESTED:
        info: Any = known[field.name]
        if field.name in DEFAULTS:
            info = ModelField(DEFAULTS[field.name], description=info.description)
        kind: Any = known[field.name].annotation
        if field.name == _OBJECT:
            # Inboxes and files have a text; a client that writes JSON anyway need not quote JSON within it.
            takes = str | dict[str, Any] | None
            kind = Annotated[kind, BeforeValidator(_as_text, json_schema_input_type=takes)]
        fields[field.name] = (kind, info)
    return create_model("NewOrder", __base__=Row, __doc__="A new order.", **fields)


@cache
def replacement_model() -> type[Row]:
    """The model of a replacement: what is given changes, what is left out stays."""
    known = model(ORDERS).model_fields
    fields: dict[str, Any] = {name: (known[name].annotation, known[name]) for name in REPLACEABLE}
    return create_model(
        "Replacement",
        __base__=Row,
        __doc__="What of an order is to change; what is left out stays.",
        **fields,
    )


def read_one(body: bytes, kind: type[Row]) -> dict[str, Any]:
    """The fields of one JSON object; those that are null are left out.

    Parameters
    ----------
    body : bytes
        JSON; decimals as numbers or strings, both exact.
    kind : type of Row
        `order_model` or `replacement_model`.

    Raises
    ------
    RequestFaultError
        Where it is no JSON object, or not one of this model.
    """
    return _checked(parse(body), kind)


def read_many(body: bytes) -> ReadOrders:
    """The orders of a JSON array.

    Raises
    ------
    RequestFaultError
        Where it is no array, an empty one, or too long a one.
    """
    columns = _read_columns(body)
    if columns is None:
        return _read_rows(body)
    _check_count(len(columns["account"]))
    faults = _text_faults(columns, is_plain=_is_plain(body))
    if not faults:
        return ReadOrders(columns=columns, rows=list(range(len(columns["account"]))), faults={})
    good = [row for row in range(len(columns["account"])) if row not in faults]
    kept = {name: column.take(pa.array(good, INT64)) for name, column in columns.items()}
    return ReadOrders(columns=kept, rows=good, faults=faults)


def parse(body: bytes) -> Any:
    """The value of a JSON text; its fractions are exact decimals.

    Raises
    ------
    RequestFaultError
        Where it is no JSON, or gives a member twice.
    """
    try:
        return _JSON.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
    except RequestFaultError:
        raise
    except RecursionError as error:
        raise RequestFaultError("the body is nested too deep") from error
    except (ValueError, ArithmeticError) as error:
        where = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise RequestFaultError(f"the body is not JSON{where}") from error


def _checked(value: Any, kind: type[Row]) -> dict[str, Any]:
    """The model's fields of a parsed value, but for nulls."""
    if not isinstance(value, dict):
        raise RequestFaultError("a JSON object was needed")
    try:
        # A null is as if the field were left out, here as in a batch and in an inbox.
        said = {name: given for name, given in value.items() if given is not None}
        read = kind.model_validate(said).__dict__
    except ValidationError as error:
        faults = [
            ("/".join(map(str, one["loc"])), one["msg"].removeprefix("Value error, "))
            for one in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise RequestFaultError("the order is not what this route takes", faults) from error
    faults = [
        (name, why)
        for name in said
        if type(text := read[name]) is str and (why := _text_fault(name, text))
    ]
    # Python's decimals take 1_000 for a thousand; a client that writes so may have meant another number.
    faults += [
        (name, "must be a decimal number")
        for name, given in said.items()
        if type(given) is str and "_" in given and name in _DECIMALS
    ]
    if faults:
        raise RequestFaultError("the order is not what this route takes", faults)
    return {name: given for name, given in read.items() if given is not None}


def _as_text(value: object) -> object:
    """An object as the text that the topic holds: one text whatever the order of its members, as a retry is compared."""
    if not isinstance(value, dict):
        return value
    try:
        # Parameters are read as float64 where they are used: a decimal loses nothing here that it keeps there.
        return json.dumps(
            value,
            default=float,
            allow_nan=False,
            ensure_ascii=False,
            separators=(",", ":"),
            sort_keys=True,
        )
    except (ValueError, RecursionError) as error:
        raise ValueError("an object of finite numbers, texts and booleans is needed") from error


def _text_fault(name: str, text: str) -> str:
    longest = LONG_TEXT_MAX if name in _LONG_TEXTS else TEXT_MAX
    if len(text) > longest:
        return f"at most {longest} characters are taken"
    if not text and name in _NAMES:
        return "must not be empty"
    # One pass in C; only a text with something unprintable is looked at more closely.
    if not text.isprintable() and _CONTROL.search(text):
        return "control characters are not taken"
    return ""


def _read_columns(body: bytes) -> dict[str, pa.Array] | None:
    """The columns of an array of objects; None where Arrow will not take it as it is."""
    try:
        # Arrow takes any bytes for a string: this is the check that they are UTF-8.
        body.decode()
    except UnicodeDecodeError:
        return None
    # To look for the name of each field that nobody gives takes longer than to parse: orders of a batch are alike.
    for text, time in ((body[:_HEAD_BYTES], TEXT), (body, TEXT), (body, INT64)):
        named = _named(text)
        wanted = pa.struct([pa.field(field.name, _wire_type(field, time)) for field in named])
        try:
            found = _parsed(body, pa.list_(wanted))
            if found is None:
                return None
            columns = dict(zip([f.name for f in named], found.flatten(), strict=True))
            return {
                field.name: _column(field, columns.get(field.name), len(found))
                for field in REQUESTED
            }
        except pa.ArrowException:
            continue
    return None


def _named(text: bytes) -> list[Field]:
    """The fields whose names are in a text."""
    return [field for field in REQUESTED if b'"%b"' % field.name.encode() in text]


def _parsed(body: bytes, wanted: pa.DataType) -> pa.StructArray | None:
    data = b"".join((_OPEN, body, _CLOSE))
    table = pyarrow.json.read_json(
        pa.BufferReader(data),
        read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=len(data) + 1),
        parse_options=pyarrow.json.ParseOptions(
            explicit_schema=pa.schema([("r", wanted)]),
            unexpected_field_behavior="error",
            newlines_in_values=True,
        ),
    )
    # A body that closes the brace early would be more values than one.
    if table.num_rows != 1 or table.column("r").null_count:
        return None
    rows = table.column("r").combine_chunks().flatten()
    return rows if rows.null_count == 0 and len(rows) else None


def _wire_type(field: Field, time: pa.DataType) -> pa.DataType:
    if field.type == TIMESTAMP:
        return time
    # Arrow reads a decimal from a number or a string, digit by digit.
    return TEXT if field.type == CATEGORY else field.type


def _column(field: Field, given: pa.Array | None, rows: int) -> pa.Array:
    default = DEFAULTS.get(field.name, field.default)
    if given is None:
        kind = TEXT if field.type == CATEGORY else field.type
        return pa.nulls(rows, kind) if default is None else pa.repeat(default, rows)
    if field.type == TIMESTAMP:
        return pc.cast(given, TIMESTAMP)
    if field.type == DECIMAL:
        # Arrow's JSON reader takes a 39th digit where 128 bits have room for it.
        given.validate(full=True)
    return given if default is None else given.fill_null(default)


def _is_plain(body: bytes) -> bool:
    """Whether no text of it can have a character that needs a closer look: printable ASCII without an escape."""
    found = np.frombuffer(body, dtype=np.uint8)
    return bool(((found >= 0x20) & (found < 0x7F) & (found != ord("\\"))).all())


def _text_faults(columns: dict[str, pa.Array], *, is_plain: bool) -> dict[int, str]:
    faults: dict[int, list[str]] = {}
    for name, column in columns.items():
        if column.type != TEXT or column.null_count == len(column):
            continue
        longest = LONG_TEXT_MAX if name in _LONG_TEXTS else TEXT_MAX
        if is_plain:
            sizes = pc.min_max(pc.binary_length(column)).as_py()
            if sizes["max"] <= longest and (sizes["min"] or name not in _NAMES):
                continue
        bad = pc.or_(
            pc.greater(pc.utf8_length(column), longest),
            pc.invert(pc.utf8_is_printable(column)),
        )
        if name in _NAMES:
            bad = pc.or_(bad, pc.equal(column, ""))
        for row in pc.indices_nonzero(pc.fill_null(bad, False)).to_pylist():
            why = _text_fault(name, column[row].as_py())
            if why:
                faults.setdefault(row, []).append(f"{name}: {why}")
    return {row: "; ".join(faults[row]) for row in sorted(faults)}


def _read_rows(body: bytes) -> ReadOrders:
    values = parse(body)
    if not isinstance(values, list):
        raise RequestFaultError("an order (a JSON object) or orders (an array) were needed")
    _check_count(len(values))
    found: dict[int, dict[str, Any]] = {}
    faults: dict[int, str] = {}
    for row, value in enumerate(values):
        try:
            found[row] = _checked(value, order_model())
        except RequestFaultError as fault:
            words = [f"{at}: {why}" for at, why in fault.faults]
            faults[row] = "; ".join(words) or str(fault)
    return ReadOrders(columns=columns_of(list(found.values())), rows=list(found), faults=faults)


def columns_of(rows: list[dict[str, Any]]) -> dict[str, pa.Array]:
    """Rows of the order model, without nulls, as columns: decimals and times in the topic's types, words as text."""
    return {
        field.name: pa.array(
            [row.get(field.name) for row in rows], TEXT if field.type == CATEGORY else field.type
        )
        for field in REQUESTED
    }


def _check_count(count: int) -> None:
    if not 0 < count <= ORDERS_MAX:
        raise RequestFaultError(f"1 to {ORDERS_MAX:,} orders a request are taken, not {count:,}")
