"""Metrics as Prometheus reads them: from real programs' counts, over HTTP, each program at its own port."""

import doctest
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from connectors import metrics
from connectors.lander import Lander
from connectors.log import FencedError, Log, NewRecord, TopicConfig
from connectors.metrics import PROGRAMS, MetricsError, port_of, serve
from connectors.topics import create_topics
from flows.bars import Bars
from flows.engines.local import run_until_end
from flows.engines.metering import FlowMeter
from flows.engines.shard import ShardOptions
from infra.free_ports import free_ports
from tests.connectors.landing_rows import append_trades


@pytest.fixture
def served() -> Iterator[str]:
    """Address at which this process's counts can be read."""
    (port,) = free_ports(1)
    address = f"127.0.0.1:{port - PROGRAMS.index('lander')}"
    serving = serve(address, "lander")
    assert serving is not None
    yield address
    server, thread = serving
    server.shutdown()
    server.server_close()
    thread.join()


def _read(address: str) -> dict[tuple[str, ...], float]:
    """Samples by name and label values, these in alphabetical order."""
    host, port = port_of(address, "lander")
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_examples_in_the_documentation_are_true() -> None:
    assert doctest.testmod(metrics).failed == 0


def test_flows_and_lander_count_what_the_log_says(
    sqlite_log: Log, store_url: str, tmp_path: Path, served: str
) -> None:
    create_topics(sqlite_log, 1)
    before = _read(served)
    rows = append_trades(sqlite_log, 1, 20)
    run_until_end(sqlite_log, [Bars], options=ShardOptions(on_commit=FlowMeter()))
    with Lander(sqlite_log, store_url, tmp_path / "lake") as lander:
        lander.run_until_end()
    after = _read(served)

    def more(*name: str) -> float:
        return after.get(name, 0.0) - before.get(name, 0.0)

    assert more("tapeflow_flow_rows_in_total", "0", "bars", "read", "trades") == rows
    assert more("tapeflow_flow_commits_total", "0", "bars") > 0
    assert more("tapeflow_lander_rows_total", "clickhouse", "trades") == rows
    assert more("tapeflow_lander_rows_total", "lake", "trades") == rows
    assert more("tapeflow_lander_seconds_count") > 0
    assert after["tapeflow_lander_open_intents", "clickhouse"] == 0
    assert after[("process_resident_memory_bytes",)] > 0


def test_a_restarted_program_goes_on_counting_where_the_flow_stands(
    sqlite_log: Log, served: str
) -> None:
    create_topics(sqlite_log, 1)
    append_trades(sqlite_log, 1, 20)
    name = ("tapeflow_flow_rows_in_total", "0", "bars", "read", "trades")
    run_until_end(sqlite_log, [Bars], options=ShardOptions(on_commit=FlowMeter()))
    first = _read(served)[name]
    more = append_trades(sqlite_log, 2, 20)
    # Another meter, as in another process: it tells what the flow has ever read.
    run_until_end(sqlite_log, [Bars], options=ShardOptions(on_commit=FlowMeter()))
    assert _read(served)[name] > first + more


def test_a_fenced_commit_is_counted(sqlite_log: Log, served: str) -> None:
    sqlite_log.create_topic(TopicConfig(name="ticks", partitions=1))
    first = sqlite_log.writer("twice")
    sqlite_log.writer("twice")
    with pytest.raises(FencedError):
        first.commit([NewRecord("ticks", 0, b"x")], 1)
    assert _read(served)["tapeflow_fenced_total", "twice"] == 1


def test_a_port_that_is_taken_is_an_error_that_says_what_to_do(served: str) -> None:
    with pytest.raises(MetricsError, match=r"metrics of lander: cannot listen on .*set `metrics`"):
        serve(served, "lander")


def test_without_an_address_nothing_is_served() -> None:
    assert serve("", "lander") is None
