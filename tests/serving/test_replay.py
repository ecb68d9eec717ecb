"""Replay finds the first row in which the log and what it gives differ; receipts show that they do."""

import io
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pytest

from connectors.log import Log
from connectors.records import rows_record
from connectors.scan import scan_rows
from flows.flow import FlowError
from schemas.bars import BARS
from schemas.codec import HEADER_FLOW, HEADER_SHARD
from schemas.faults import LATE
from serving.receipt import run_receipt
from serving.replay import comparisons, run_replay
from tests.serving.proofs import worked

HEADERS = ((HEADER_FLOW, b"bars/1"), (HEADER_SHARD, b"0"))


@pytest.fixture
def log(sqlite_log: Log, store_url: str, tmp_path: Path) -> Log:
    worked(sqlite_log, store_url, tmp_path / "lake")
    return sqlite_log


def rebuilt(log: Log, change: "int | None", value: float = 0.0) -> None:
    """Write the topic bars anew, with one bar's close changed, or (None) with its first bar left out."""
    batches = [batch for record, batch in scan_rows(log, BARS, 0) if record.header(HEADER_FLOW)]
    config = log.topics()["bars"]
    log.delete_topic("bars")
    log.create_topic(config)
    whole = pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
    if change is None:
        whole = whole.slice(1)
    else:
        close = whole.column("close").to_pylist()
        close[change] = value
        at = whole.schema.get_field_index("close")
        whole = whole.set_column(at, BARS.schema.field(at), pa.array(close, pa.float64()))
    log.append([rows_record(BARS, 0, whole, headers=HEADERS)])


def test_an_untouched_log_is_identical(log: Log) -> None:
    out = io.StringIO()
    assert run_replay(log, [], as_json=True, out=out) == 0
    found = orjson.loads(out.getvalue())
    assert {one["topic"] for one in found} >= {
        "bars",
        "indicators",
        "trades",
        "dead_letter",
        "late",
    }
    assert all(one["identical"] for one in found)
    assert all(one["rows_in_log"] == one["rows_computed"] > 0 for one in found)


def test_a_changed_row_is_named_with_both_versions(log: Log) -> None:
    rebuilt(log, 100, 123456.5)
    (bars,) = [one for one in comparisons(log, ["bars"]) if one.topic == "bars"]
    assert bars.difference is not None
    assert bars.difference.in_log is not None
    assert bars.difference.computed is not None
    assert bars.difference.in_log["close"] == 123456.5
    assert bars.difference.computed["close"] != 123456.5
    same = {"symbol", "interval", "ts_event", "open", "volume"}
    assert all(bars.difference.in_log[name] == bars.difference.computed[name] for name in same)
    assert bars.in_log.total != bars.computed.total


def test_a_missing_row_is_a_difference(log: Log) -> None:
    rebuilt(log, None)
    (bars,) = [one for one in comparisons(log, ["bars"]) if one.topic == "bars"]
    assert not bars.identical
    assert bars.in_log.rows == bars.computed.rows - 1


def test_another_order_within_a_key_is_a_difference_though_the_sums_agree(log: Log) -> None:
    batches = [batch for record, batch in scan_rows(log, BARS, 0) if record.header(HEADER_FLOW)]
    whole = pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
    config = log.topics()["bars"]
    log.delete_topic("bars")
    log.create_topic(config)
    backwards = whole.take(pa.array(range(whole.num_rows - 1, -1, -1)))
    log.append([rows_record(BARS, 0, backwards, headers=HEADERS)])
    (bars,) = [one for one in comparisons(log, ["bars"]) if one.topic == "bars"]
    assert bars.in_log == bars.computed
    assert not bars.identical


def test_a_late_row_that_is_gone_is_named(log: Log) -> None:
    """Late rows have no order within a key: they are sorted before they are compared."""
    records = [record for record, _ in scan_rows(log, LATE, 0)]
    (whole,) = (
        pa.Table.from_batches([b for _, b in scan_rows(log, LATE, 0)]).combine_chunks().to_batches()
    )
    by_key = whole.take(pa.array(np.argsort(np.array(whole.column("key").to_pylist()))))
    config = log.topics()["late"]
    log.delete_topic("late")
    log.create_topic(config)
    log.append([rows_record(LATE, 0, by_key.slice(1), headers=records[0].headers[3:])])
    (late,) = [one for one in comparisons(log, ["bars"]) if one.topic == "late"]
    assert late.difference is not None
    assert late.difference.key == by_key.column("key")[0].as_py()
    assert late.computed.rows == late.in_log.rows + 1


def test_a_person_sees_the_first_differing_row(log: Log) -> None:
    rebuilt(log, 100, 123456.5)
    out = io.StringIO()
    assert run_replay(log, ["bars"], as_json=False, out=out) == 1
    assert "DIFFERENT" in out.getvalue()
    assert "First differing row of bars" in out.getvalue()
    assert "123456.5" in out.getvalue()


def test_a_log_on_which_nothing_ran_is_not_called_identical(sqlite_log: Log) -> None:
    out = io.StringIO()
    assert run_replay(sqlite_log, [], as_json=False, out=out) == 2
    assert "Nothing to compare" in out.getvalue()


def test_an_unknown_flow_is_named_with_the_known_ones(sqlite_log: Log) -> None:
    with pytest.raises(FlowError, match="no flow barz; there are bars"):
        comparisons(sqlite_log, ["barz"])


def test_a_receipt_has_rows_and_whole_digests(log: Log) -> None:
    out = io.StringIO()
    assert run_receipt(log, ["trades", "bars"], as_json=True, out=out) == 0
    value = orjson.loads(out.getvalue())
    assert list(value) == ["trades", "bars"]
    assert value["trades"]["rows"] == 4_025
    text = io.StringIO()
    run_receipt(log, ["trades"], as_json=False, out=text)
    assert value["trades"]["digest"] in text.getvalue()


def test_a_receipt_changes_with_one_row_and_not_with_the_cut(log: Log) -> None:
    def digest() -> str:
        out = io.StringIO()
        run_receipt(log, ["bars"], as_json=True, out=out)
        return str(orjson.loads(out.getvalue())["bars"]["digest"])

    before = digest()
    (first, *_) = [batch for record, batch in scan_rows(log, BARS, 0) if record.header(HEADER_FLOW)]
    close = first.column("close")[0].as_py()
    rebuilt(log, 0, close)
    assert digest() == before
    rebuilt(log, 0, 77.0)
    assert digest() != before


def test_an_unknown_topic_is_named_with_the_known_ones(sqlite_log: Log) -> None:
    with pytest.raises(KeyError, match="there are quotes"):
        run_receipt(sqlite_log, ["quotez"], as_json=True, out=io.StringIO())
