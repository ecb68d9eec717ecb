"""What lies outside of --from and --to is not compared; a snapshot spares the way there; the lake is a source, too."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pyarrow as pa
import pytest

from connectors.lander import Lander
from connectors.log import Log, Record, open_log
from connectors.records import rows_record
from connectors.scan import scan_rows
from flows.bars import Bars
from flows.engines.bounds import Bounds
from flows.engines.compare import Comparison
from flows.engines.snapshots import manifests
from flows.engines.stretches import stretch_of, warmed
from flows.flow import FlowError
from schemas.bars import BARS
from serving.replay import Request, comparisons, run_replay
from serving.replay_bounds import bounds_of
from serving.replay_compare import Range, compare_again
from serving.replay_params import params_of_file
from serving.replay_pool import Pool
from serving.replay_tasks import Logs
from serving.run_making import Places
from serving.settings import Settings, SettingsError
from tests.serving.lived import LATER, lived

NS = 1_000_000_000


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    with open_log(f"sqlite:///{tmp_path_factory.mktemp('lived') / 'log.db'}") as opened:
        lived(opened, 1)
        yield opened


@pytest.fixture
def broken(sqlite_log: Log) -> Log:
    """A log whose bar 700 has another close than it was emitted with."""
    lived(sqlite_log, 1, epoch=False)
    passed = 0

    def changed(_record: Record, batch: pa.RecordBatch) -> list[tuple[int, pa.RecordBatch]]:
        nonlocal passed
        at = 700 - passed
        passed += batch.num_rows
        return [(0, _other_close(batch, at) if 0 <= at < batch.num_rows else batch)]

    rewrite(sqlite_log, changed)
    return sqlite_log


def rewrite(
    log: Log, changed: Callable[[Record, pa.RecordBatch], list[tuple[int, pa.RecordBatch]]]
) -> None:
    """Make the bars anew, each record as what it is changed to: partitions and rows."""
    config = log.topics()["bars"]
    places = range(config.partitions)
    records = [found for partition in places for found in scan_rows(log, BARS, partition)]
    log.delete_topic("bars")
    log.create_topic(config)
    for record, batch in records:
        headers = tuple(h for h in record.headers if h[0] not in {"kind", "schema", "rows"})
        for partition, rows in changed(record, batch):
            log.append([rows_record(BARS, partition, rows, headers=headers)])


def commit_of(record: Record) -> int:
    return int(record.header("commit") or 0)


def _other_close(batch: pa.RecordBatch, row: int) -> pa.RecordBatch:
    at = BARS.schema.get_field_index("close")
    close = batch.column("close").to_pylist()
    close[row] = 123456.5
    return batch.set_column(at, BARS.schema.field(at), pa.array(close, pa.float64()))


def again(log: Log, *names: str, **within: object) -> list[Comparison]:
    with Logs(log) as logs, Pool(logs, 1) as pool:
        places = Places(log=log.url, source=log.url)
        return compare_again(places, names, pool, within=Range(**within))


def test_only_rows_within_the_times_are_compared(broken: Log) -> None:
    (whole,) = [one for one in again(broken, "bars") if one.topic == "bars"]
    assert whole.difference is not None
    assert (whole.counts.left_only, whole.counts.right_only, whole.counts.different) == (0, 0, 1)
    assert whole.difference.left is not None
    time = whole.difference.left.row["ts_event"]
    at = time.isoformat()
    behind = time.replace(microsecond=0, nanosecond=0).isoformat()
    later = (time + pa.scalar(NS, pa.duration("ns")).as_py()).isoformat()
    assert behind == at
    (inside,) = [one for one in again(broken, "bars", begin=at, end=later) if one.topic == "bars"]
    assert not inside.identical
    assert 0 < inside.in_log.rows < whole.in_log.rows
    for range_ in ({"end": at}, {"begin": later}):
        (outside,) = [one for one in again(broken, "bars", **range_) if one.topic == "bars"]
        assert outside.identical
        assert outside.in_log.rows > 0


def test_the_first_difference_names_what_was_read_for_it(broken: Log) -> None:
    (bars,) = [one for one in again(broken, "bars") if one.topic == "bars"]
    assert bars.difference is not None
    assert bars.difference.right is not None
    assert bars.difference.left is not None
    assert bars.difference.left.place is not None
    offset = bars.difference.left.place.offset
    (batch,) = [batch for record, batch in scan_rows(broken, BARS, 0) if record.offset == offset]
    assert batch.column("close")[bars.difference.left.place.row].as_py() == 123456.5
    (computed,) = bars.difference.right.inputs
    (committed,) = [one for one in bars.difference.left.inputs if one.topic == "trades"]
    assert computed.topic == "trades"
    # The commit had read the row that closed the bar, and so has the segment; small records are joined there.
    assert computed.first_offset <= committed.first_offset <= computed.last_offset
    assert (computed.first_row, committed.first_row) == (0, None)


def test_commits_within_the_offsets_are_compared(broken: Log) -> None:
    (bars,) = [one for one in again(broken, "bars") if one.topic == "bars"]
    assert bars.difference is not None
    assert bars.difference.left is not None
    (read,) = [one for one in bars.difference.left.inputs if one.topic == "trades"]
    inside = again(
        broken, "bars", begin=f"trades={read.first_offset}", end=f"trades={read.last_offset + 1}"
    )
    before = again(broken, "bars", end=f"trades/0={read.first_offset}")
    behind = again(broken, "bars", begin=f"trades/0={read.last_offset + 1}")
    assert [one.identical for one in inside if one.topic == "bars"] == [False]
    for found in (before, behind):
        (one,) = [one for one in found if one.topic == "bars"]
        assert one.identical
        assert one.in_log.rows > 0
    parts = [
        [one.in_log.rows for one in found if one.topic == "bars"]
        for found in (before, inside, behind)
    ]
    assert sum(rows for part in parts for rows in part) == bars.in_log.rows


def test_the_nearest_snapshot_before_is_begun_at_and_gives_the_same(log: Log) -> None:
    end = log.end("trades", 0)
    bounds = Bounds(from_offsets={("trades", None): end - 2})
    stretch = stretch_of(log, Bars, 0, bounds)
    assert stretch is not None
    short = warmed(log, Bars, stretch)
    assert stretch.start is None
    assert short.start is not None
    assert 0 < short.start.number <= stretch.after == short.after
    warm, cold = (again(log, begin=f"trades={end - 2}", cold=cold) for cold in (False, True))
    assert warm == cold
    assert all(one.identical for one in warm)
    assert any(one.in_log.rows for one in warm)


def test_rows_lost_from_before_a_snapshot_are_missed_where_a_time_is_asked_for(
    sqlite_log: Log,
) -> None:
    """What the log has left says that the rows begin behind the snapshot; they began before it."""
    lived(sqlite_log, 1, epoch=False, kinds=[Bars])
    lost = manifests(sqlite_log, "bars", 0)[-2].number
    earlier = [
        batch for record, batch in scan_rows(sqlite_log, BARS, 0) if commit_of(record) < lost
    ]
    begin = max(max(batch.column("ts_event").to_pylist()) for batch in earlier)
    begin += pa.scalar(NS, pa.duration("ns")).as_py()
    (whole,) = (one for one in again(sqlite_log, "bars", begin=str(begin)) if one.topic == "bars")
    assert whole.identical
    rewrite(sqlite_log, lambda record, batch: [] if commit_of(record) == lost else [(0, batch)])
    (found,) = (one for one in again(sqlite_log, "bars", begin=str(begin)) if one.topic == "bars")
    assert 0 < found.in_log.rows < whole.in_log.rows
    assert found.counts.right_only == whole.in_log.rows - found.in_log.rows


def test_rows_of_a_key_in_two_partitions_are_a_difference(sqlite_log: Log) -> None:
    lived(sqlite_log, 2, epoch=False, kinds=[Bars], commits=4)
    assert all(one.identical for one in again(sqlite_log, "bars"))

    def late_half_elsewhere(
        record: Record, batch: pa.RecordBatch
    ) -> list[tuple[int, pa.RecordBatch]]:
        return [(1 if commit_of(record) > 3 else record.partition, batch)]

    rewrite(sqlite_log, late_half_elsewhere)
    found = [one for one in again(sqlite_log, "bars") if one.topic == "bars" and not one.identical]
    assert [one.shard for one in found] == [0]
    assert found[0].in_log == found[0].computed
    assert found[0].difference is not None
    assert found[0].difference.in_log == found[0].difference.computed


def test_a_flow_that_is_named_twice_is_compared_once(log: Log) -> None:
    assert again(log, "bars", "bars") == again(log, "bars")


def test_a_range_without_rows_says_so(log: Log) -> None:
    out = io.StringIO()
    request = Request(within=Range(begin="2031-01-01"))
    assert run_replay(log, [], as_json=False, out=out, request=request) == 2
    assert "none has rows within --from and --to" in " ".join(out.getvalue().split())


def test_a_snapshot_is_not_begun_at_behind_rows_that_are_asked_for(log: Log) -> None:
    (last,) = [batch for _, batch in scan_rows(log, BARS, 0)][-1:]
    time = max(last.column("ts_event").to_pylist())
    warm, cold = (again(log, "bars", begin=time.isoformat(), cold=cold) for cold in (False, True))
    assert [one.in_log for one in warm] == [one.in_log for one in cold]
    assert all(one.identical for one in warm)


def test_an_epoch_is_replayed_with_its_own_parameters_unless_others_are_asked_for(log: Log) -> None:
    assert all(one.identical for one in again(log))
    out = io.StringIO()
    request = Request(flows=["bars"], params={"bars": LATER})
    assert run_replay(log, [], as_json=True, out=out, request=request) == 1
    (bars,) = [one for one in orjson.loads(out.getvalue()) if one["topic"] == "bars"]
    # The last epoch had those parameters: its later bars are there on both sides.
    assert 0 < bars["rows_only_in_log"] < bars["rows_in_log"]
    assert bars["first_difference"]["computed_at"]["inputs"][0]["topic"] == "trades"


@pytest.mark.parametrize("compare", ["live", "trial"])
def test_other_parameters_go_down_a_chain_in_runs_only(log: Log, compare: str) -> None:
    """Indicators of live bars were told as identical with live, and as different from a run of the same parameters."""
    trial = Request(
        flows=["bars", "indicators"], params={"bars": LATER}, into="trial", compare=None
    )
    assert run_replay(log, [], as_json=True, out=io.StringIO(), request=trial) == 0
    request = Request(params={"bars": LATER}, compare=compare)
    with pytest.raises(FlowError, match=r"'indicators' reads bars, which 'bars' gives .*--into"):
        run_replay(log, [], as_json=True, out=io.StringIO(), request=request)
    alone = Request(flows=["bars"], params={"bars": LATER}, compare="trial")
    assert run_replay(log, [], as_json=True, out=io.StringIO(), request=alone) == 0
    again = Request(
        flows=["bars", "indicators"], params={"bars": LATER}, into="again", compare="trial"
    )
    assert run_replay(log, [], as_json=True, out=io.StringIO(), request=again) == 0


def test_a_log_whose_beginning_is_cut_says_from_where_it_is_compared(sqlite_log: Log) -> None:
    lived(sqlite_log, 1, epoch=False, kinds=[Bars])
    whole = again(sqlite_log, "bars")
    sqlite_log.trim("trades", 0, 5)
    cut = again(sqlite_log, "bars")
    assert [one.since for one in whole] == [""] * len(whole)
    assert all(one.identical and "the log before is cut" in one.since for one in cut)
    assert 0 < cut[0].in_log.rows < whole[0].in_log.rows


def test_the_lake_is_replayed_when_the_log_is_cut(
    sqlite_log: Log, store_url: str, tmp_path: Path
) -> None:
    lived(sqlite_log, 1)
    with Lander(sqlite_log, store_url, tmp_path / "lake") as lander:
        lander.run_until_end()
    wanted = comparisons(sqlite_log, [])
    sqlite_log.trim("trades", 0, sqlite_log.end("trades", 0))
    sqlite_log.trim("nbbo", 0, sqlite_log.end("nbbo", 0))
    places = Places(log=sqlite_log.url, source=f"lake:///{tmp_path / 'lake'}")
    with Logs(sqlite_log) as logs, Pool(logs, 1) as pool:
        found = compare_again(places, [], pool)
    assert [(one.topic, one.in_log, one.computed) for one in found] == [
        (one.topic, one.in_log, one.computed) for one in wanted
    ]
    assert all(one.identical for one in found)


@pytest.mark.parametrize(
    ("begin", "end", "told"),
    [
        ("yesterday", None, "--from 'yesterday' is neither a time nor offsets"),
        (None, "nothing=5", "--to 'nothing=5': the log has no topic 'nothing'"),
        ("trades/7=5", None, "trades has partitions 0 to 0"),
        ("trades=5", "trades=5", "--from trades=5 is not before --to trades=5"),
        ("2024-01-02", "2024-01-01", "--from 2024-01-02 is not before"),
        ("trades=x", None, "'trades=x' is not like"),
        ("2024-01-02T14:30:00.1234567891", None, "a second has nine places at most"),
    ],
)
def test_a_range_that_is_none_is_refused(log: Log, begin: str, end: str, told: str) -> None:
    with pytest.raises(FlowError, match=told):
        bounds_of(log, begin, end)


def test_times_are_utc_unless_they_say_otherwise(log: Log) -> None:
    assert bounds_of(log, "1970-01-01T00:00:01.5", "1970-01-01T02:00:02+02:00") == Bounds(
        from_ns=1_500_000_000, to_ns=2 * NS
    )


def test_times_have_nanoseconds(log: Log) -> None:
    """Python's own have six places: what a row's time says behind them was left out, and another row was the first."""
    found = bounds_of(log, "1969-12-31T23:59:59.999999999", "1970-01-01T05:30:00,0000005+05:30")
    assert found == Bounds(from_ns=-1, to_ns=500)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[flows.bars]\nintervalls = ['1m']", "unknown parameter 'intervalls'"),
        ("[flows.barz]\nx = 1", "no flow 'barz'"),
        ("intervals = ['1m']", r"tables \[flows.NAME\] are needed, not intervals"),
        ("[flows.indicators]\nintervals = ['1m']", "indicators.: that flow is not replayed"),
        ("[", "not TOML"),
    ],
)
def test_a_file_of_parameters_is_checked(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "params.toml"
    path.write_text(text)
    names = ["bars", "barz"] if "indicators" in text else []
    with pytest.raises(SettingsError, match=told):
        params_of_file(Settings(), path, names)


def test_a_file_of_parameters_goes_over_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "params.toml"
    path.write_text("[flows.bars]\nintervals = ['9s']")
    settings = Settings(flows={"bars": {"intervals": ["1m"], "max_keys": 77}})
    found = params_of_file(settings, path)
    assert list(found) == ["bars"]
    assert (found["bars"].intervals, found["bars"].max_keys) == (("9s",), 77)


def test_rows_of_an_output_topic_that_was_deleted_are_missing(sqlite_log: Log) -> None:
    """It was a KeyError."""
    lived(sqlite_log, 1, epoch=False, kinds=[Bars], commits=4)
    sqlite_log.delete_topic(BARS.name)
    found = {one.topic: one for one in again(sqlite_log, "bars")}
    assert not found["bars"].identical
    assert (found["bars"].in_log.rows, found["late"].identical) == (0, True)
