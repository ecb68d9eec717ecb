"""CSV and Parquet by a mapping: exact times in every unit, scales, words, constants, and what is refused."""

import gzip
import zipfile
from pathlib import Path

import polars as pl
import pytest

from connectors.feeds.archive import probe
from connectors.feeds.columns import Columns
from connectors.feeds.mapping import ColumnMapping, parse_mapping, read_mapping
from connectors.feeds.reading import Window, batches
from connectors.feeds.source import Fault, FeedError
from schemas.faults import PAYLOAD_BYTES_MAX

NOW_NS = 1_767_268_800_000_000_000
LINE = "topic=trades,symbol=sym,ts_event=time:{unit},price=px/100,size=qty,venue=const:XTST"


def read(path: Path, mapping: ColumnMapping) -> tuple[pl.DataFrame, list[Fault]]:
    form = Columns(mapping)
    seen = probe(path)
    assert form.matches(seen)
    [source] = form.open(seen, 1 << 16)
    found = list(batches(source, after_line=0, window=Window(), latest_ns=NOW_NS))
    rows = pl.concat([pl.DataFrame(batch.batch) for batch in found])
    return rows, [fault for batch in found for fault in batch.faults]


@pytest.mark.parametrize(
    ("unit", "text", "ns"),
    [
        ("s", "1400000000.123456789", 1_400_000_000_123_456_789),
        ("s", "1400000000", 1_400_000_000_000_000_000),
        ("ms", "1400000000123.456", 1_400_000_000_123_456_000),
        ("us", "1400000000123456", 1_400_000_000_123_456_000),
        ("ns", "1400000000123456789", 1_400_000_000_123_456_789),
        ("rfc3339", "2014-05-13T16:53:20.123456789Z", 1_400_000_000_123_456_789),
        ("rfc3339", "2014-05-13 18:53:20.5+02:00", 1_400_000_000_500_000_000),
    ],
)
def test_a_time_in_any_unit_is_read_to_the_nanosecond(
    tmp_path: Path, unit: str, text: str, ns: int
) -> None:
    path = tmp_path / "trades.csv"
    path.write_text(f"time,sym,px,qty\n{text},abc,1234,5\n")
    rows, faults = read(path, parse_mapping(LINE.format(unit=unit)))
    assert faults == []
    assert rows["ts_event"].to_physical().to_list() == [ns]
    assert rows.select("symbol", "venue", "price", "size", "action").rows() == [
        ("ABC", "XTST", 12.34, 5.0, "new")
    ]


TOML = """
topic = "trades"
delimiter = ";"
[columns]
symbol = "ticker"
ts_event = {column = "at", unit = "ms"}
price = "price"
size = {column = "lots", divide_by = 0.01}
side = {column = "bs", values = {B = "buy", S = "sell"}}
trade_id = "id"
[constants]
venue = "X"
updates_volume = false
"""


@pytest.mark.parametrize("container", ["plain", "gzip", "zip"])
def test_a_mapping_file_maps_words_and_constants(tmp_path: Path, container: str) -> None:
    mapping_path = tmp_path / "mapping.toml"
    mapping_path.write_text(TOML)
    text = (
        "id;at;ticker;unused;price;lots;bs\n"
        'a1;1000;abc;9;10.5;2;B\na2;1001;"A;B";;10.25;1;S\n;1002;abc;;10;1;\n'
        "a4;1003;abc;;10;1;Q\n"
    )
    path = tmp_path / "trades.csv"
    if container == "plain":
        path.write_text(text)
    elif container == "gzip":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("trades.csv", text)
    rows, faults = read(path, read_mapping(mapping_path))
    assert rows.select(
        "symbol", "price", "size", "side", "trade_id", "updates_volume", "updates_last"
    ).rows() == [
        ("ABC", 10.5, 200.0, "buy", "a1", False, True),
        ("A;B", 10.25, 100.0, "sell", "a2", False, True),
        ("ABC", 10.0, 100.0, None, None, False, True),
    ]
    [fault] = faults
    assert (fault.line, fault.text) == (5, b"a4;1003;abc;;10;1;Q")
    assert "side" in fault.reason


@pytest.mark.parametrize(
    ("said", "is_in_file"),
    [(";", ";"), ("|", "|"), ("\\t", "\t"), ("tab", "\t"), ("\t", "\t"), (" ", " ")],
)
def test_a_delimiter_may_be_said_in_one_line(tmp_path: Path, said: str, is_in_file: str) -> None:
    path = tmp_path / "trades.csv"
    path.write_text("time,sym,px,qty\n7,abc,1234,5\n".replace(",", is_in_file))
    rows, faults = read(path, parse_mapping(f"{LINE.format(unit='s')},delimiter={said}"))
    assert faults == []
    assert rows.select("symbol", "price").rows() == [("ABC", 12.34)]


@pytest.mark.parametrize("said", [";;", "a", "7", '"', "§"])
def test_what_is_no_delimiter_is_refused(said: str) -> None:
    with pytest.raises(FeedError, match="one character was needed, no letter"):
        parse_mapping(f"{LINE.format(unit='s')},delimiter={said}")


def test_columns_without_a_header_go_by_number(tmp_path: Path) -> None:
    path = tmp_path / "quotes.csv"
    path.write_text("abc,1000,10,,\nabc,1001,,11,200\n")
    rows, faults = read(
        path,
        parse_mapping(
            "topic=quotes,symbol=1,ts_event=2:ms,bid=3,ask=4,ask_size=5,venue=const:X,header=no"
        ),
    )
    assert faults == []
    assert rows.select("bid", "ask", "ask_size").rows() == [(10.0, None, None), (None, 11.0, 200.0)]


def test_words_of_different_case_are_one_symbol(tmp_path: Path) -> None:
    path = tmp_path / "trades.csv"
    path.write_text("time,sym,px,qty\n1,abc,1,1\n2,ABC,1,1\n3,Abc,1,1\n")
    rows, _ = read(path, parse_mapping(LINE.format(unit="s")))
    assert rows["symbol"].to_list() == ["ABC"] * 3
    [source] = Columns(parse_mapping(LINE.format(unit="s"))).open(probe(path), 1 << 16)
    assert source.scan() == {"ABC": 1_000_000_000}


def test_bad_values_are_faults_with_line_numbers_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "trades.csv"
    path.write_text(
        "time,sym,px,qty\n1,a,100,1\n2,a,text,1\n3,a,100,1\n4,,100,1\n5,a,100\n6,a,-1,1\n"
        "99999999999999,a,1,1\n1767300000,a,1,1\n"
    )
    rows, faults = read(path, parse_mapping(LINE.format(unit="s")))
    assert rows["ts_event"].to_physical().to_list() == [1_000_000_000, 3_000_000_000]
    assert [fault.line for fault in faults] == [3, 5, 6, 7, 8, 9]
    wanted = [
        "column px",
        "column sym is empty",
        "4 columns",
        "price",
        "int64 nanoseconds",
        "append",
    ]
    for fault, words in zip(faults, wanted, strict=True):
        assert words in fault.reason


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_row_larger_than_a_record_may_be_is_a_fault_without_its_text(
    tmp_path: Path, kind: str
) -> None:
    """The feed took rows that intake refuses, and kept bad lines that no record of Kafka holds."""
    path = tmp_path / f"trades.{kind}"
    giant = "x" * (PAYLOAD_BYTES_MAX + 1)
    frame = pl.DataFrame(
        {
            "time": [1, 2, 3, 4],
            "sym": ["a"] * 4,
            "px": [100, 100, 100, -100],
            "qty": [1] * 4,
            "id": ["one", giant, "three", giant],
        }
    )
    frame.write_csv(path) if kind == "csv" else frame.write_parquet(path)
    rows, faults = read(path, parse_mapping(f"{LINE.format(unit='s')},trade_id=id"))
    assert rows["trade_id"].to_list() == ["one", "three"]
    assert [fault.text for fault in faults] == [None, None]
    assert faults[0].reason.startswith(f"a row of {PAYLOAD_BYTES_MAX + 1 + len('AXTSTnew')} bytes")
    assert [fault.line for fault in faults] == ([3, 5] if kind == "csv" else [2, 4])


def test_a_bad_line_larger_than_a_record_may_be_is_told_without_its_text(tmp_path: Path) -> None:
    path = tmp_path / "trades.csv"
    text = f"2,a,100,{'x' * PAYLOAD_BYTES_MAX}"
    path.write_text(f"time,sym,px,qty\n1,a,100,1\n{text}\n")
    rows, [fault] = read(path, parse_mapping(LINE.format(unit="s")))
    assert rows.height == 1
    assert (fault.line, fault.text) == (3, None)
    assert fault.reason.endswith(f"; its {len(text)} bytes are in the file alone")


@pytest.mark.parametrize("kind", ["timestamp", "integer"])
def test_parquet_is_read_by_row_number(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "trades.parquet"
    ms = [1_400_000_000_123, 1_400_000_000_124, 1_400_000_000_125]
    time = pl.Series(ms) if kind == "integer" else pl.Series(ms).cast(pl.Datetime("ms", "UTC"))
    frame = pl.DataFrame(
        {"sym": ["a", "b", "a"], "time": time, "px": [100, -5, 300], "qty": [1.0, 2.0, 3.0]}
    )
    frame.write_parquet(path)
    rows, faults = read(path, parse_mapping(LINE.format(unit="ms")))
    assert rows["ts_event"].to_physical().to_list() == [ms[0] * 1_000_000, ms[2] * 1_000_000]
    assert rows["price"].to_list() == [1.0, 3.0]
    [fault] = faults
    assert fault.line == 2
    assert b'"px":-5' in fault.text


def test_a_constant_of_the_wrong_type_is_an_error_that_names_the_field(tmp_path: Path) -> None:
    path = tmp_path / "trades.csv"
    path.write_text("time,sym,px,qty\n1,a,1,1\n")
    mapping = parse_mapping(LINE.format(unit="s") + ",updates_volume=const:perhaps")
    with pytest.raises(FeedError, match="'perhaps' is no bool, as updates_volume needs"):
        read(path, mapping)


def test_truncated_parquet_is_an_error_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / "trades.parquet"
    pl.DataFrame({"sym": ["a"], "time": [1], "px": [1], "qty": [1]}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FeedError, match="not a whole Parquet file"):
        Columns(parse_mapping(LINE.format(unit="ms"))).open(probe(path), 1 << 16)


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "trades.csv"
    path.write_text("time,sym,price,qty\n")
    with pytest.raises(FeedError, match="names column px, the file has time, sym, price, qty"):
        Columns(parse_mapping(LINE.format(unit="s"))).open(probe(path), 1 << 16)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("topic=bars,symbol=s", "topic 'bars' was given; one of quotes, trades, book_events"),
        ("topic=trades,symbol=s", "venue, ts_event, price, size must be mapped"),
        (LINE.format(unit="ms") + ",colour=c", "no field colour"),
        (LINE.format(unit="ms") + ",ts_recv=c", "no field ts_recv"),
        (LINE.format(unit="hours"), "needs a unit, one of s, ms, us, ns, rfc3339"),
        ("topic", "NAME=VALUE was needed"),
        (LINE.format(unit="ms").replace("/100", "/x"), "'x' is no number"),
        (LINE.format(unit="ms") + ",header=maybe", "yes or no was needed"),
        (LINE.format(unit="ms") + ",trade_id=id/10", "divide_by is for columns of type double"),
        (LINE.format(unit="ms") + ",trade_id=id:ms", "unit is for columns of type timestamp"),
        (LINE.format(unit="ms") + ",ts_ref=ref", "ts_ref needs a unit"),
    ],
)
def test_a_wrong_mapping_says_which_part_and_how_it_is_written(text: str, words: str) -> None:
    with pytest.raises(FeedError, match=words):
        parse_mapping(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("topic =", "mapping.toml"),
        (TOML.replace("topic =", "subject ="), "topic ''"),
        ('colour = "red"\n' + TOML, "no key colour"),
        (TOML.replace("divide_by", "times"), "times"),
    ],
)
def test_a_wrong_mapping_file_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "mapping.toml"
    path.write_text(text)
    with pytest.raises(FeedError, match=words) as caught:
        read_mapping(path)
    assert str(path) in str(caught.value)
