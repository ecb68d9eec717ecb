"""FIX logs: the fills that the published log should give, cancels, gaps, and what is left out."""

import csv
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.feeds.archive import probe
from connectors.feeds.fix import Fix
from tests.connectors.feeds.parts_read import read_parts

FILL = {
    "35": "8",
    "49": "BROKER",
    "52": "20180109-07:01:03.793",
    "56": "US",
    "17": "E1",
    "31": "25.5",
    "32": "100",
    "54": "1",
    "55": "abc",
    "60": "20180109-07:01:03",
    "150": "F",
}
# 9 January 2018, 07:01:03 UTC.
FILL_NS = 1_515_481_263_000_000_000


def line(number: int, *, end: str = "\x01", **fields: str) -> str:
    """A message; fields are named t35 and so on, an empty one is left out."""
    body = {**FILL, "34": str(number)} | {name[1:]: value for name, value in fields.items()}
    text = "".join(f"{tag}={value}{end}" for tag, value in body.items() if value)
    return f"8=FIX.4.4{end}9={len(text)}{end}{text}10=000{end}"


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.shared
def test_the_published_log_gives_its_42_fills(shared: Path) -> None:
    folder = shared / "reference/fix"
    read = read_parts(Fix(), folder / "FIX.09-Jan-2018.log.gz")
    with (folder / "FIX.09-Jan-2018.expected_execu.csv").open(newline="") as file:
        want = [
            (
                row["Stock Code"].strip(),
                int(
                    datetime.strptime(row["Transaction Time"], "%Y%m%d-%H:%M:%S")
                    .replace(tzinfo=UTC)
                    .timestamp()
                )
                * 1_000_000_000,
                float(row["Transaction Price"]),
                float(row["Transaction Quantity"]),
                row["Transaction Side"],
            )
            for row in csv.DictReader(file)
        ]
    got = read.rows["trades"]
    assert len(want) == 42
    assert got.select("symbol", "ts_event", "price", "size", "side").rows() == want
    assert set(got["venue"]) == {"HKE"}
    assert got["trade_id"].n_unique() == 42
    assert read.faults == []
    assert {why: len(lines) for why, lines in read.skipped.items()} == {
        "session message": 2_861 + 5 + 3,
        "execution report that is no fill": 4,
        "comment": 1,
    }


@pytest.mark.parametrize("end", ["\x01", "|"])
def test_fills_cancels_and_corrections_become_trades(tmp_path: Path, end: str) -> None:
    lines = [
        line(1, end=end),
        line(2, end=end, t17="E2", t150="H", t19="E1"),
        line(3, end=end, t17="E3", t150="G", t19="E1", t31="26"),
        line(
            4,
            end=end,
            t17="E4",
            t30="XNAS",
            t207="XNYS",
            t54="5",
            t60="20180109-07:01:03.123456789",
        ),
        line(5, end=end, t17="E5", t60="", t54="7"),
    ]
    read = read_parts(Fix(), write(tmp_path / "log", lines))
    got = read.rows["trades"]
    columns = ["venue", "ts_event", "price", "side", "trade_id", "action", "ref_trade_id"]
    assert got.select(columns).rows() == [
        ("BROKER", FILL_NS, 25.5, "buy", "E1", "new", None),
        ("BROKER", FILL_NS, 25.5, "buy", "E2", "cancel", "E1"),
        ("BROKER", FILL_NS, 26.0, "buy", "E3", "correct", "E1"),
        ("XNAS", FILL_NS + 123_456_789, 25.5, "sell", "E4", "new", None),
        ("BROKER", FILL_NS + 793_000_000, 25.5, None, "E5", "new", None),
    ]
    assert set(got["symbol"]) == {"ABC"}
    assert read.faults == []


def test_up_to_fix_4_2_another_field_tells_cancels_corrections_and_statuses(tmp_path: Path) -> None:
    """A bust, a correction and the answer to a status request were fills of their own: volume that nobody traded."""
    lines = [
        line(1, t150="2", t20="0"),
        line(2, t17="E2", t150="2", t20="1", t19="E1"),
        line(3, t17="E3", t150="1", t20="2", t19="E1", t31="26"),
        line(4, t17="E4", t150="2", t20="3"),
        # The bust of an order's only fill: the order is as new again.
        line(5, t17="E5", t150="0", t20="1", t19="E1"),
    ]
    read = read_parts(Fix(), write(tmp_path / "log", lines))
    got = read.rows["trades"].select("trade_id", "action", "ref_trade_id").rows()
    assert got == [
        ("E1", "new", None),
        ("E2", "cancel", "E1"),
        ("E3", "correct", "E1"),
        ("E5", "cancel", "E1"),
    ]
    assert read.faults == []
    assert {why: len(found) for why, found in read.skipped.items()} == {
        "execution report that is no fill": 1
    }


def test_numbers_that_are_missing_are_noticed(tmp_path: Path) -> None:
    lines = [
        line(1),
        line(2, t35="0"),
        line(5, t17="E5"),
        line(4, t17="E4", t43="Y"),
        line(5, t17="E5", t43="Y"),
        line(6, t35="0"),
        line(1, t35="A", t141="Y"),
        line(2, t35="0"),
        line(1, t35="5"),
        line(9, t35="D", t49="OTHER"),
    ]
    for block_bytes in (1, 1 << 16):
        read = read_parts(Fix(), write(tmp_path / "log", lines), block_bytes)
        assert read.rows["feed_events"].select("kind", "stream", "expected", "found").rows() == [
            ("gap", "BROKER to US", 3, 5),
            ("gap_filled", "BROKER to US", 6, 4),
            ("resynchronised", "BROKER to US", 3, 1),
        ]
        assert read.rows["trades"]["trade_id"].to_list() == ["E1", "E5", "E4"]
        assert read.skipped == {
            "session message": [2, 6, 7, 8, 9],
            "message sent again (PossDupFlag)": [5],
            "application message of another kind": [10],
        }


def test_bad_messages_are_faults_with_their_lines(tmp_path: Path) -> None:
    lines = [
        line(1),
        line(2)[:-8],
        "text",
        line(2, t31="", t17="E2"),
        line(3, t32="many"),
        line(4, t60="yesterday"),
        line(5, t150="H"),
        line(6, t31="0"),
        line(7, t17="E7"),
    ]
    path = write(tmp_path / "log", lines)
    read = read_parts(Fix(), path)
    assert read.rows["trades"]["trade_id"].to_list() == ["E1", "E7"]
    faults = {fault.line: fault.reason for fault in read.faults}
    assert list(faults) == [2, 3, 4, 5, 6, 7, 8]
    words = ["10=nnn", "10=nnn", "'31' is missing", "many", "yesterday", "'19' is missing", "price"]
    for reason, word in zip(faults.values(), words, strict=True):
        assert word in reason
    assert read.faults[1].text == b"text"
    assert Fix().matches(probe(path))
    assert not Fix().matches(probe(write(tmp_path / "other", ["8=FIX"])))


def test_numbers_that_a_sequence_reset_leaves_out_are_no_gap(tmp_path: Path) -> None:
    lines = [line(1), line(2, t35="4", t123="Y", t36="9"), line(9, t17="E9")]
    read = read_parts(Fix(), write(tmp_path / "log", lines))
    assert "feed_events" not in read.rows
    assert read.rows["trades"]["trade_id"].to_list() == ["E1", "E9"]


def test_numbers_and_times_beyond_all_bounds_are_faults(tmp_path: Path) -> None:
    lines = [
        line(1),
        line(10**30),
        line(3, t60="99991231-23:59:59"),
        line(4, t52="00010101-00:00:00"),
        line(5, t34="-5"),
        line(6, t17="E6"),
    ]
    read = read_parts(Fix(), write(tmp_path / "log", lines))
    assert [fault.line for fault in read.faults] == [2, 3, 4, 5]
    assert read.rows["trades"]["trade_id"].to_list() == ["E1", "E6"]
