"""The audit holds on an untouched platform, and each of its terms is missed when it is broken."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import orjson
import pyarrow as pa
import pytest

from connectors.clickhouse import connect
from connectors.control import control_record, control_value, progress_topic
from connectors.log import Log, NewRecord
from connectors.records import rows_record
from connectors.scan import scan_rows
from schemas.bars import BARS
from schemas.codec import HEADER_FLOW, HEADER_SHARD
from schemas.faults import DEAD_LETTER, LATE
from schemas.market import TRADES
from serving.audit import audit, audit_value, run_audit
from tests.serving.proofs import trades_fed, worked


class Platform:
    """What a test may break."""

    def __init__(self, log: Log, store_url: str, lake: Path) -> None:
        self.log, self.store_url, self.lake = log, store_url, lake

    def failing(self) -> set[str]:
        checks = audit(self.log, self.store_url, self.lake)
        assert checks
        return {
            f"{check.subject} | {check.claim.split(' = ')[0]}" for check in checks if not check.ok
        }

    def progress_says(self, flow: str, **changes: int) -> None:
        """A progress record whose counts are off."""
        record = self.log.last(progress_topic(flow), 0)
        assert record is not None
        value = control_value(record)
        counts = value["counts"]["trades"]
        for name, more in changes.items():
            counts[name] += more
        self.log.append([control_record(progress_topic(flow), 0, value | {"runs": []})])

    def again(self, topic_name: str, flow: str) -> NewRecord:
        """A copy of the first record that a flow has written to a topic."""
        topic = {"late": LATE, "trades": TRADES, "dead_letter": DEAD_LETTER}[topic_name]
        headers = ((HEADER_FLOW, f"{flow}/1".encode()), (HEADER_SHARD, b"0"))
        for record, batch in scan_rows(self.log, topic, 0):
            if (record.header(HEADER_FLOW) or b"").startswith(flow.encode()):
                return rows_record(topic, 0, batch.slice(0, 1), headers=headers)
        raise AssertionError(topic_name)

    def forge_bar(self, *headers: tuple[str, bytes]) -> None:
        """A copy of a bar, by whoever the headers say."""
        _, batch = next(scan_rows(self.log, BARS, 0))
        self.log.append([rows_record(BARS, 0, batch.slice(0, 1), headers=headers)])


@pytest.fixture
def platform(sqlite_log: Log, store_url: str, tmp_path: Path) -> Platform:
    worked(sqlite_log, store_url, tmp_path / "lake")
    return Platform(sqlite_log, store_url, tmp_path / "lake")


def test_an_untouched_platform_passes_and_says_what_was_counted(platform: Platform) -> None:
    out = io.StringIO()
    code = run_audit(
        platform.log, platform.store_url, platform.lake, values=False, as_json=True, out=out
    )
    value = orjson.loads(out.getvalue())
    assert (code, value["ok"]) == (0, True)
    terms = {check["subject"]: check["terms"] for check in value["checks"]}
    assert terms["intake: trades.in"] == {"read": 22, "accepted": 20, "rejected": 2}
    of_bars = next(
        c["terms"]
        for c in value["checks"]
        if c["claim"].startswith("read = used") and c["subject"] == "bars: trades"
    )
    assert of_bars["read"] == 4_025
    # Corrections among the five old rows are never late.
    actions = trades_fed().column("action").slice(0, 5).to_pylist()
    assert of_bars["late"] == actions.count("new") > 0
    assert terms["lander: trades"] == {"log": 4_025, "lake": 4_025}


def test_values_are_compared_where_that_is_asked_for(platform: Platform) -> None:
    checks = audit(platform.log, platform.store_url, platform.lake, values=True)
    assert [check for check in checks if not check.ok] == []
    compared = [check for check in checks if "same" in check.terms]
    assert {check.subject for check in compared} == {
        check.subject for check in checks if check.subject.startswith("lander: ")
    } - {"lander: _control"}
    assert sum(check.terms["same"] for check in compared) > 0


BREAKS: dict[str, tuple[Callable[[Platform], object], str]] = {
    "a row read that is not in the log": (
        lambda p: p.progress_says("bars", read=1),
        "bars: trades | rows in the log up to the flow's position",
    ),
    "a used row that was not read": (
        lambda p: p.progress_says("bars", used=1),
        "bars: trades | read",
    ),
    "a held row that was not read": (
        lambda p: p.progress_says("bars", held=1),
        "bars: trades | read",
    ),
    "a missed window that late does not hold": (
        lambda p: p.progress_says("bars", missed=1),
        "bars: trades | windows missed by used rows",
    ),
    "an accepted row twice": (
        lambda p: p.log.append([p.again("trades", "intake")]),
        "intake: trades.in | rows decoded again",
    ),
    "a rejected row twice": (
        lambda p: p.log.append([p.again("dead_letter", "intake")]),
        "intake: trades.in | rows decoded again",
    ),
    "a row of bars that no flow wrote": (
        lambda p: p.forge_bar(),
        "derived topics | records in the log",
    ),
    "a row of bars of a flow that gives none": (
        lambda p: p.forge_bar((HEADER_FLOW, b"indicators/1"), (HEADER_SHARD, b"0")),
        "derived topics | records in the log",
    ),
    "a row of bars of a shard that there is not": (
        lambda p: p.forge_bar((HEADER_FLOW, b"bars/1"), (HEADER_SHARD, b"99")),
        "derived topics | records in the log",
    ),
    "a row lost in ClickHouse": (
        lambda p: _command(
            p,
            "ALTER TABLE trades DELETE WHERE _offset = 3 AND _row = 7 SETTINGS mutations_sync = 1",
        ),
        "lander: trades | rows in the log up to the landed position",
    ),
    "a row doubled in ClickHouse": (
        lambda p: _command(
            p, "INSERT INTO trades SELECT * FROM trades WHERE _offset = 3 AND _row = 7"
        ),
        "lander: trades | rows in the log up to the landed position",
    ),
    "a file lost in the lake": (
        lambda p: next((p.lake / "trades").glob("*/*.parquet")).unlink(),
        "lander: trades | rows in the log up to the landed position",
    ),
    "a file doubled in the lake": (
        lambda p: [
            shutil.copy(f, f.with_name("9-0-9.parquet"))
            for f in (p.lake / "trades").glob("*/*.parquet")
        ],
        "lander: trades | rows in the log up to the landed position",
    ),
    "all records of an inbox lost in the lake": (
        lambda p: shutil.rmtree(p.lake / "_control" / "trades.in"),
        "lander: _control | offsets landed",
    ),
    "progress lost in the lake": (
        lambda p: next((p.lake / "_control" / "_progress.bars").iterdir()).unlink(),
        "lander: _control | offsets landed",
    ),
    "a file of control records damaged": (
        lambda p: next((p.lake / "_control" / "trades.in").iterdir()).write_bytes(b"PAR1"),
        "lander: _control | offsets landed",
    ),
    "a table dropped in ClickHouse": (
        lambda p: _command(p, "DROP TABLE bars_revised SYNC"),
        "lander: bars_revised | rows in the log up to the landed position",
    ),
    "an output topic deleted from the log": (
        lambda p: p.log.delete_topic("bars_revised"),
        "lander: bars_revised | the topic whose rows are in clickhouse is in the log",
    ),
    "an input topic deleted from the log": (
        lambda p: p.log.delete_topic("trades"),
        "bars: trades | the topic that the flow needs is in the log",
    ),
    "the late rows deleted from the log": (
        lambda p: p.log.delete_topic("late"),
        "bars: trades | read",
    ),
}


def _command(platform: Platform, statement: str) -> None:
    with connect(platform.store_url) as client:
        client.command(statement)


@pytest.mark.parametrize("what", BREAKS)
def test_a_broken_term_is_found_and_named(platform: Platform, what: str) -> None:
    break_it, named = BREAKS[what]
    break_it(platform)
    assert named in platform.failing()


def test_a_late_row_that_no_flow_counted_is_found(platform: Platform) -> None:
    late = platform.again("late", "bars")
    batches = [batch for _, batch in scan_rows(platform.log, LATE, 0)]
    at = batches[0].schema.get_field_index("source_row")
    one = (
        batches[0].slice(0, 1).set_column(at, LATE.schema.field(at), pa.array([30_000], pa.int32()))
    )
    one = one.set_column(
        one.schema.get_field_index("used"), LATE.schema.field("used"), pa.array([False])
    )
    platform.log.append([rows_record(LATE, 0, one, headers=late.headers[3:])])
    assert "bars: trades | read" in platform.failing()


def test_a_difference_names_the_first_record_and_the_exit_code_says_it(platform: Platform) -> None:
    _command(
        platform,
        "ALTER TABLE trades DELETE WHERE _offset = 3 AND _row = 7 SETTINGS mutations_sync = 1",
    )
    out = io.StringIO()
    assert (
        run_audit(
            platform.log, platform.store_url, platform.lake, values=False, as_json=False, out=out
        )
        == 1
    )
    assert "trades[0] at offset 3: 500 rows in the log, 499 landed" in out.getvalue().replace(
        "\n", " "
    )


def test_the_value_is_not_ok_where_one_check_is_not(platform: Platform) -> None:
    platform.progress_says("bars", read=1)
    assert audit_value(audit(platform.log, platform.store_url, platform.lake))["ok"] is False
