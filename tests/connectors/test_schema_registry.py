"""A registry's schemas: asked for over its own REST protocol, kept in the log, not needed by a replay."""

import base64
import io
import json
import re
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import fastavro
import polars as pl
import pytest

from connectors.log import Log, NewRecord
from connectors.scan import scan_rows
from connectors.schema_registry import RegistryError, SchemaRegistry
from connectors.topics import create_topics
from flows.engines.local import run_until_end
from flows.engines.shard import Shard, ShardOptions, prepare
from flows.flow import Params
from flows.intake import Intake
from schemas.faults import DEAD_LETTER
from schemas.foreign_schemas import FOREIGN_SCHEMAS
from schemas.market import TRADES
from schemas.topic import Topic
from serving.replay import comparisons

_SCHEMA = {
    "type": "record",
    "name": "Trade",
    "fields": [
        {"name": "symbol", "type": "string"},
        {"name": "venue", "type": "string"},
        {"name": "ts_event", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "price", "type": "double"},
        {"name": "size", "type": "double"},
    ],
}


class Registry:
    """What `SchemaRegistry` talks to: ``GET /schemas/ids/{id}`` as Confluent's API reference has it."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {"7": (200, {"schema": json.dumps(_SCHEMA)})}
        self.asked: list[str] = []
        self.authorizations: list[str | None] = []
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.removeprefix("/schemas/ids/")
                registry.asked.append(name)
                registry.authorizations.append(self.headers["Authorization"])
                missing = (404, {"error_code": 40403, "message": f"Schema {name} not found"})
                status, value = registry.answers.get(name, missing)
                body = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        self.url = f"http://{self.host}"


@pytest.fixture
def registry() -> Iterator[Registry]:
    stand_in = Registry()
    thread = threading.Thread(target=stand_in.server.serve_forever, args=(0.02,))
    thread.start()
    yield stand_in
    stand_in.server.shutdown()
    thread.join()
    stand_in.server.server_close()


def test_a_schema_is_a_row_and_one_that_cannot_be_used_says_why(registry: Registry) -> None:
    registry.answers |= {
        "8": (200, {"schema": "syntax = 'proto3';", "schemaType": "PROTOBUF"}),
        "9": (200, {"schema": "{}", "references": [{"name": "other"}]}),
    }
    rows = SchemaRegistry(registry.url)(["7", "8", "9", "10"]).to_pylist()
    assert registry.asked == ["7", "8", "9", "10"]
    assert json.loads(rows[0].pop("schema_text")) == _SCHEMA
    assert [(row["schema_id"], row["schema_type"], row["reason"]) for row in rows] == [
        ("7", "AVRO", None),
        ("8", "PROTOBUF", "schema 8 is PROTOBUF, and AVRO was needed"),
        ("9", "AVRO", "schema 9 refers to other schemas; register it whole"),
        ("10", None, "the registry has no schema 10: Schema 10 not found"),
    ]


def test_user_and_password_are_sent_and_never_told(registry: Registry) -> None:
    registry.answers["7"] = (401, {"error_code": 401, "message": "Unauthorized"})
    with pytest.raises(RegistryError, match="status 401") as raised:
        SchemaRegistry(f"http://desk:s%40fe@{registry.host}")(["7"])
    assert registry.authorizations == ["Basic " + base64.b64encode(b"desk:s@fe").decode()]
    assert "s%40fe" not in str(raised.value)
    assert "s@fe" not in str(raised.value)


@pytest.mark.parametrize("answer", [(503, b"busy"), (429, b""), (500, b"{}")])
def test_a_registry_that_is_busy_is_asked_again(
    registry: Registry, answer: tuple[int, bytes]
) -> None:
    fine = registry.answers["7"]
    registry.answers["7"] = answer
    timer = threading.Timer(0.3, registry.answers.__setitem__, ("7", fine))
    timer.start()
    (row,) = SchemaRegistry(registry.url, patience_s=20)(["7"]).to_pylist()
    timer.join()
    assert row["reason"] is None
    assert len(registry.asked) > 1


def test_one_that_does_not_answer_or_is_none_is_an_error_that_says_what_to_do(
    registry: Registry,
) -> None:
    with pytest.raises(RegistryError, match=r"does not answer: http://127\.0\.0\.1:1/.*mend"):
        SchemaRegistry("http://127.0.0.1:1", patience_s=0.2)(["7"])
    registry.answers["7"] = (200, b"<html>")
    with pytest.raises(RegistryError, match="not as a schema registry"):
        SchemaRegistry(registry.url)(["7"])


@pytest.mark.parametrize(
    "answer",
    [
        (404, {"error_code": 404, "message": "HTTP 404 Not Found"}),
        (404, {"detail": "no such page"}),
        (200, {"status": "up"}),
    ],
)
def test_a_wrong_path_or_a_proxy_is_no_registry_that_lacks_a_schema(
    registry: Registry, answer: tuple[int, Any]
) -> None:
    """Taken for an answer, it would make a dead letter of every record."""
    registry.answers["7"] = answer
    with pytest.raises(RegistryError, match="not as a schema registry"):
        SchemaRegistry(registry.url)(["7"])


def test_a_password_may_have_any_characters(registry: Registry) -> None:
    SchemaRegistry(f"http://desk:%E2%82%AC@{registry.host}")(["7"])
    assert registry.authorizations == ["Basic " + base64.b64encode("desk:€".encode()).decode()]


def test_told_to_stop_it_waits_for_no_answer() -> None:
    stop = threading.Event()
    timer = threading.Timer(0.3, stop.set)
    timer.start()
    begun = time.monotonic()
    with pytest.raises(RegistryError, match=r"http://\[::1\]:1/"):
        SchemaRegistry("http://[::1]:1", stop=stop)(["7"])
    assert time.monotonic() - begun < 20
    timer.join()


def test_what_is_decoded_hangs_on_the_log_alone(sqlite_log: Log, registry: Registry) -> None:
    """The registry is gone when the log is computed again, and every byte is the same."""
    create_topics(sqlite_log, 2)
    options = ShardOptions(look_up={"intake": SchemaRegistry(registry.url)})
    sqlite_log.append([_record("A", 7, 0), _record("B", 5, 0), NewRecord("trades.in", 0, b"{}")])
    run_until_end(sqlite_log, [Intake], options=options)
    registry.answers["5"] = registry.answers["7"]
    sqlite_log.append([_record("C", 7, 1), _record("D", 7, 0)])
    run_until_end(sqlite_log, [Intake], options=options)
    # The second shard learnt of 7 from the first one's question.
    assert sorted(registry.asked) == ["5", "7"]
    assert [row["symbol"] for row in _rows(sqlite_log, TRADES)] == ["A", "C", "D"]
    reasons = [row["reason"] for row in _rows(sqlite_log, DEAD_LETTER)]
    assert sorted(re.split("[:;]", reason)[0] for reason in reasons) == [
        "symbol must be given, not null",
        "the registry has no schema 5",
    ]
    registry.answers.clear()
    found = comparisons(sqlite_log, ["intake"])
    assert len(found) > 2
    assert all(one.identical for one in found)


def test_a_crash_between_the_answer_and_the_commit_asks_nobody_again(
    sqlite_log: Log, registry: Registry
) -> None:
    create_topics(sqlite_log, 1)
    sqlite_log.append([_record("A", 7, 0)])
    prepare(sqlite_log, Intake)
    options = ShardOptions(look_up={"intake": SchemaRegistry(registry.url)}, commit_s=1e9)
    dies = Shard(sqlite_log, Intake, Params(), 0, options)
    dies.open()
    dies.step()
    assert len(_rows(sqlite_log, FOREIGN_SCHEMAS)) == 1
    assert _rows(sqlite_log, TRADES) == []
    run_until_end(sqlite_log, [Intake], options=ShardOptions(look_up=options.look_up))
    assert registry.asked == ["7"]
    assert [row["symbol"] for row in _rows(sqlite_log, TRADES)] == ["A"]
    assert all(one.identical for one in comparisons(sqlite_log, ["intake"]))


def test_without_a_registry_nothing_is_asked_and_the_dead_letter_says_what_to_set(
    sqlite_log: Log,
) -> None:
    create_topics(sqlite_log, 1)
    sqlite_log.append([_record("A", 7, 0)])
    run_until_end(sqlite_log, [Intake])
    assert _rows(sqlite_log, FOREIGN_SCHEMAS) == []
    (letter,) = _rows(sqlite_log, DEAD_LETTER)
    assert "set schema_registry" in letter["reason"]


def test_the_topic_of_schemas_has_one_partition_whatever_the_others_have(sqlite_log: Log) -> None:
    create_topics(sqlite_log, 3)
    assert sqlite_log.topics()[FOREIGN_SCHEMAS.name].partitions == 1
    assert sqlite_log.topics()[TRADES.name].partitions == 3


def _record(symbol: str, schema_id: int, partition: int) -> NewRecord:
    row = {
        "symbol": symbol,
        "venue": "N",
        "ts_event": 1_714_564_800_123_456,
        "price": 1.5,
        "size": 2.0,
    }
    plain = json.loads(json.dumps(_SCHEMA).replace(', "logicalType": "timestamp-micros"', ""))
    sink = io.BytesIO()
    fastavro.schemaless_writer(sink, plain, row)
    value = b"\x00" + struct.pack(">I", schema_id) + sink.getvalue()
    return NewRecord(TRADES.inbox_name, partition, value)


def _rows(log: Log, topic: Topic) -> list[dict[str, Any]]:
    return [
        row
        for partition in range(log.topics()[topic.name].partitions)
        for _, batch in scan_rows(log, topic, partition)
        for row in pl.DataFrame(batch).to_dicts()
    ]
