"""US equity quotes and trades in QuantConnect/LEAN's tick zips (AlgoSeek's consolidated tape).

A file is one symbol, one day, one kind: ``aig/20131007_quote.zip`` with member
``20131007_aig_Quote_Tick.csv``. Symbol and date are taken from the member's name, else from the
folder's and the zip's. Prices are USD times 10,000, times are milliseconds since midnight in New York.

A quote row speaks of one side of one exchange; the other side, zero in the file, is null. The files hold the
tape's own national best bid and offer, not every exchange's quotes: row by row in pairs of equal time, the
best bid with its exchange and the best ask with its (in six of the nine files of AIG, BAC and IBM, without one
exception; in the other three but for rows before both sides are there). If the rows were quotes that stand
until their exchange gives another, the market would be crossed from the first minute to the last. So a
quote row's condition has the flag ``best``. A trade's
sale conditions are kept as the file's hexadecimal bit field, and decide by `connectors.feeds.conditions`
whether the trade sets high and low, last, and volume: by default by the table that the vendor's own
minute bars show, with which 99.0 to 99.6 % of the minutes of AIG, BAC, IBM and SPY agree in all of
open, high, low, close and volume (7 to 9 October 2013; 50 to 92 % if every trade sets all). ``sip`` is the tapes' own
table. A suspicious row is marked in its condition, and a suspicious trade sets nothing.
"""

import re
from collections.abc import Callable
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.feeds.categories import constant
from connectors.feeds.conditions import SaleConditions
from connectors.feeds.source import FeedError, Format, Probe, Rows, Source
from connectors.feeds.text import Layout, TextSource
from connectors.feeds.times import milliseconds, new_york_midnight
from schemas.arrays import Bools, Int64s
from schemas.field import CATEGORY
from schemas.market import QUOTES, TRADES

PRICE_SCALE = 10_000.0
# Sale conditions are 32 bits, kept in an int64; what has more than that holds is damaged.
_BITS_MAX = np.iinfo(np.int64).max

_MEMBER = re.compile(
    r"(?P<date>\d{8})_(?P<symbol>.+)_(?P<kind>quote|trade)_tick\.csv", re.IGNORECASE
)
_FILE = re.compile(r"(?P<date>\d{8})_(?P<kind>quote|trade)\.(zip|csv|csv\.gz)", re.IGNORECASE)
_QUOTE_LINE = re.compile(rb"\d+,\d+,\d+,\d+,\d+,[A-Za-z]*,[0-9A-Fa-f]*,[01]")
_TRADE_LINE = re.compile(rb"\d+,\d+,\d+,[A-Za-z]*,[0-9A-Fa-f]*,[01]")

_INT = pa.int64()
_QUOTE_COLUMNS = {
    "ms": _INT,
    "bid": _INT,
    "bid_size": _INT,
    "ask": _INT,
    "ask_size": _INT,
    "exchange": CATEGORY,
    "condition": CATEGORY,
    "suspicious": _INT,
}
_TRADE_COLUMNS = {
    "ms": _INT,
    "price": _INT,
    "size": _INT,
    "exchange": CATEGORY,
    "condition": CATEGORY,
    "suspicious": _INT,
}


class Taq(Format):
    """LEAN's TAQ tick files.

    Parameters
    ----------
    conditions : SaleConditions
        The table that says what a trade's sale conditions let it set.
    """

    name = "taq"
    summary = "LEAN equity tick zip, SYMBOL/YYYYMMDD_quote.zip or SYMBOL/YYYYMMDD_trade.zip"

    def __init__(self, conditions: SaleConditions) -> None:
        self._conditions = conditions

    def matches(self, probe: Probe) -> bool:
        """Whether name and first line are a quote or trade tick file's."""
        named = _MEMBER.fullmatch(probe.member) or _FILE.fullmatch(probe.path.name)
        if named is None:
            return False
        line = _QUOTE_LINE if named["kind"].lower() == "quote" else _TRADE_LINE
        return line.fullmatch(probe.first_line) is not None

    def open(self, probe: Probe, block_bytes: int) -> tuple[Source, ...]:
        """Open a quote or trade file."""
        named = _MEMBER.fullmatch(probe.member) or _FILE.fullmatch(probe.path.name)
        if named is None:
            raise FeedError(
                f"{probe}: neither the file nor its member is named as TAQ files are, such as "
                "aig/20131007_trade.zip or 20131007_aig_Trade_Tick.csv; symbol and date are taken from it"
            )
        symbol = named.groupdict().get("symbol") or probe.path.absolute().parent.name
        midnight = new_york_midnight(named["date"])
        build: Callable[[pa.RecordBatch], Rows]
        if named["kind"].lower() == "quote":
            topic, columns = QUOTES, _QUOTE_COLUMNS
            build = partial(_quotes, symbol=symbol.upper(), midnight_ns=midnight)
        else:
            topic, columns = TRADES, _TRADE_COLUMNS
            build = partial(
                _trades, symbol=symbol.upper(), midnight_ns=midnight, conditions=self._conditions
            )
        layout = Layout(
            topic=topic,
            columns=columns,
            build=build,
            required=tuple(name for name in columns if name != "condition"),
        )
        return (TextSource(probe.path, layout, block_bytes),)


def _quotes(columns: pa.RecordBatch, *, symbol: str, midnight_ns: int) -> Rows:
    ts_event, refused = milliseconds(columns, midnight_ns)
    suspicious = _suspicious(columns, refused)
    bid, bid_size = _side(columns, "bid")
    ask, ask_size = _side(columns, "ask")
    condition, _ = _conditions(columns, suspicious, flag=";best")
    batch = QUOTES.batch(
        {
            "symbol": constant(symbol, columns.num_rows),
            "venue": columns.column("exchange"),
            "ts_event": ts_event,
            "ts_recv": ts_event,
            "bid": bid,
            "bid_size": bid_size,
            "ask": ask,
            "ask_size": ask_size,
            "condition": condition,
        }
    )
    return Rows(batch=batch, refused=refused)


def _trades(
    columns: pa.RecordBatch, *, symbol: str, midnight_ns: int, conditions: SaleConditions
) -> Rows:
    ts_event, refused = milliseconds(columns, midnight_ns)
    suspicious = _suspicious(columns, refused)
    condition, codes = _conditions(columns, suspicious)
    refused["column condition: a hexadecimal bit field was needed"] = codes < 0
    high_low, last, volume = conditions.updates(codes)
    batch = TRADES.batch(
        {
            "symbol": constant(symbol, columns.num_rows),
            "venue": columns.column("exchange"),
            "ts_event": ts_event,
            "ts_recv": ts_event,
            "price": _ints(columns, "price") / PRICE_SCALE,
            "size": _ints(columns, "size").astype(np.float64),
            "conditions": condition,
            "updates_high_low": high_low & ~suspicious,
            "updates_last": last & ~suspicious,
            "updates_volume": volume & ~suspicious,
            "action": constant("new", columns.num_rows),
        }
    )
    return Rows(batch=batch, refused=refused)


def _ints(columns: pa.RecordBatch, name: str) -> Int64s:
    values: Int64s = columns.column(name).to_numpy(zero_copy_only=False)
    return values


def _suspicious(columns: pa.RecordBatch, refused: dict[str, Bools]) -> Bools:
    flags = _ints(columns, "suspicious")
    refused["column suspicious: 0 or 1 was needed"] = (flags != 0) & (flags != 1)
    suspicious: Bools = flags == 1
    return suspicious


def _side(columns: pa.RecordBatch, name: str) -> tuple[pa.Array, pa.Array]:
    """Price and size of one side; null where the row does not speak of it."""
    price, size = _ints(columns, name), _ints(columns, f"{name}_size")
    return (
        pa.array(price / PRICE_SCALE, mask=price == 0),
        pa.array(size.astype(np.float64), mask=(price == 0) & (size == 0)),
    )


def _conditions(
    columns: pa.RecordBatch, suspicious: Bools, flag: str = ""
) -> tuple[pa.Array, Int64s]:
    """Conditions as text with a flag and the suspicious mark, and as bits (-1 where they are no hexadecimal)."""
    column = pc.fill_null(columns.column("condition"), "0")
    texts = column.dictionary.to_pylist()
    at = column.indices.to_numpy(zero_copy_only=False)
    codes = np.array([_bits(text) for text in texts], dtype=np.int64)[at]
    texts = [text + flag for text in texts]
    column = pa.DictionaryArray.from_arrays(pa.array(at), pa.array(texts, pa.string()))
    if suspicious.any():
        marked = pa.array(texts + [f"{text};suspicious" for text in texts], pa.string())
        at = (at + len(texts) * suspicious).astype(np.int32)
        column = pa.DictionaryArray.from_arrays(pa.array(at), marked)
    return column, codes


def _bits(text: str) -> int:
    try:
        bits = int(text, 16)
    except ValueError:
        return -1
    return bits if bits <= _BITS_MAX else -1
