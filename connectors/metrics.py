"""What the programs count, for Prometheus: retries, commits, rows and what became of them.

Counting costs a microsecond and needs no server; `serve` makes the counts readable over HTTP. Kernels and
flows count nothing themselves: the engine's hook does (`flows.engines.metering`).
"""

import threading
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)

REGISTRY = CollectorRegistry()
# Memory, processor time and open files of this process; looked up when they are asked for.
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

# Each program has a port of its own, counted from the setting's: one that a person starts beside those of
# `tapeflow up` with the same settings takes its own place too. Multi-process mode would need a folder of
# files that outlive their processes.
PROGRAMS = ("up", "store", "flows", "lander", "clock", "feed", "api")

RETRIES = Counter(
    "tapeflow_retries",
    "Attempts that failed and were made again, by what was asked and why it failed",
    ["of", "cause"],
    registry=REGISTRY,
)
FENCED = Counter(
    "tapeflow_fenced",
    "Commits that were refused because a newer copy of the writer was started",
    ["writer"],
    registry=REGISTRY,
)
PROGRAM_ENDS = Counter(
    "tapeflow_program_ends",
    "Supervised programs that ended, by how: killed, stopped or with an error",
    ["program", "how"],
    registry=REGISTRY,
)
FLOW_COMMITS = Counter(
    "tapeflow_flow_commits",
    "Commits of a flow's shard, since it first ran",
    ["flow", "shard"],
    registry=REGISTRY,
)
FLOW_ROWS_IN = Counter(
    "tapeflow_flow_rows_in",
    "Input rows by what became of them (read, used, late, missed, rejected), since the flow first ran",
    ["flow", "shard", "input", "became"],
    registry=REGISTRY,
)
FLOW_ROWS_HELD = Gauge(
    "tapeflow_flow_rows_held",
    "Input rows that wait for another input of the flow",
    ["flow", "shard", "input"],
    registry=REGISTRY,
)
FLOW_PAUSED = Gauge(
    "tapeflow_flow_input_paused",
    "1 where an input is not read on, since too many of its rows are held",
    ["flow", "shard", "input"],
    registry=REGISTRY,
)
FLOW_ROWS_OUT = Counter(
    "tapeflow_flow_rows_out",
    "Rows appended by a flow, by topic (late and dead_letter too), since the program started",
    ["flow", "shard", "topic"],
    registry=REGISTRY,
)
LOG_UNENDED = Gauge(
    "tapeflow_log_unended_offsets",
    "Offsets behind a transaction that was begun half a minute ago or longer and has not ended: nobody reads them yet",
    ["topic", "partition"],
    registry=REGISTRY,
)
DOOR_COMMITS = Counter(
    "tapeflow_door_commits", "Commits of orders by the API, each synced to disk", registry=REGISTRY
)
DOOR_ORDERS = Counter(
    "tapeflow_door_orders", "Commands that the API has acknowledged", registry=REGISTRY
)
LANDER_ROWS = Counter(
    "tapeflow_lander_rows", "Rows landed, by sink and topic", ["sink", "topic"], registry=REGISTRY
)
LANDER_SECONDS = Histogram(
    "tapeflow_lander_seconds",
    "From a record's append to its rows' being readable in ClickHouse, in seconds",
    buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600),
    registry=REGISTRY,
)
LANDER_OPEN = Gauge(
    "tapeflow_lander_open_intents",
    "Ranges that are being written, by sink",
    ["sink"],
    registry=REGISTRY,
)
LANDER_REPEATED = Counter(
    "tapeflow_lander_intents_repeated",
    "Ranges that an earlier lander had begun and this one did again, by sink",
    ["sink"],
    registry=REGISTRY,
)
FEED_ROWS = Counter(
    "tapeflow_feed_rows", "Rows appended by a feed, by topic", ["topic"], registry=REGISTRY
)
FEED_REJECTED = Counter(
    "tapeflow_feed_rejected", "Lines and messages that became dead letters", registry=REGISTRY
)
FEED_COMMITS = Counter("tapeflow_feed_commits", "Commits of a feed", registry=REGISTRY)
CLOCK_ROWS = Counter(
    "tapeflow_clock_watermark_rows", "Watermark rows appended by the clock", registry=REGISTRY
)
API_REQUESTS = Counter(
    "tapeflow_api_requests",
    "Requests answered, by method (WS for WebSockets), route and status",
    ["method", "route", "status"],
    registry=REGISTRY,
)
API_SECONDS = Histogram(
    "tapeflow_api_seconds",
    "From a request's head to its answer's end, in seconds; of streams, as long as they lasted",
    ["method", "route"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
    registry=REGISTRY,
)
API_STREAMS = Gauge(
    "tapeflow_api_streams",
    "Streams that clients have open, a WebSocket counted as one besides those on it",
    registry=REGISTRY,
)
API_STREAMS_REFUSED = Counter(
    "tapeflow_api_streams_refused",
    "Streams and WebSockets refused because their user had as many as `api_streams` allows",
    registry=REGISTRY,
)


class MetricsError(RuntimeError):
    """The metrics cannot be served; the message says where and what to do."""


def port_of(address: str, program: str) -> tuple[str, int]:
    """Host and port of a program's metrics.

    Parameters
    ----------
    address : str
        ``HOST:PORT``, the setting.
    program : str
        One of `PROGRAMS`.

    Examples
    --------
    >>> port_of("127.0.0.1:9100", "lander")
    ('127.0.0.1', 9103)
    """
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port) + PROGRAMS.index(program)


def serve(address: str, program: str) -> tuple[WSGIServer, threading.Thread] | None:
    """Serve the counts of this process at ``http://HOST:PORT/metrics`` until it ends.

    Parameters
    ----------
    address : str
        ``HOST:PORT``, the setting; empty where nothing is to be served.
    program : str
        Which program this is, one of `PROGRAMS`.

    Returns
    -------
    (WSGIServer, Thread) or None
        What serves, to be shut down by a test; None without an address.

    Raises
    ------
    MetricsError
        Where the port is taken.
    """
    if not address:
        return None
    host, port = port_of(address, program)
    try:
        server, thread = start_http_server(port, host, REGISTRY)
    except OSError as error:
        raise MetricsError(
            f"metrics of {program}: cannot listen on {host}:{port} ({error.strerror}); another program, or "
            f"another copy of this one, has it: set `metrics` to another HOST:PORT ({len(PROGRAMS)} ports "
            "from there on are used), or leave it empty"
        ) from error
    return server, thread
