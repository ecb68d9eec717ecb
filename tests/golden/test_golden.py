"""What earlier versions wrote is read for ever, to the same rows; and today's writer is theirs."""

from typing import Any

import orjson
import pyarrow as pa
import pytest

from schemas.codec import decode
from schemas.digest import row_digests
from schemas.json_codec import decode_json
from schemas.topic import Topic
from tests.golden.make import HERE, golden_files
from tests.golden.rows import ALL, golden_batch

_EACH = pytest.mark.parametrize("topic", ALL, ids=lambda topic: topic.identifier)


def _name(topic: Topic) -> str:
    return f"{topic.name}-{topic.version}"


@_EACH
def test_every_topic_version_has_its_golden_files(topic: Topic) -> None:
    missing = [path.name for path in golden_files(topic) if not path.exists()]
    assert not missing, "run `python -m tests.golden.make`"


@_EACH
def test_old_arrow_bytes_decode_to_the_golden_rows(topic: Topic) -> None:
    data = (HERE / "arrow" / f"{_name(topic)}.arrows").read_bytes()
    assert decode(data, topic.schema).to_pylist() == golden_batch(topic).to_pylist()


@_EACH
def test_old_json_decodes_to_the_golden_rows(topic: Topic) -> None:
    data = (HERE / "json" / f"{_name(topic)}.jsonl").read_bytes()
    decoded = decode_json(topic, pa.array([data]))
    assert decoded.faults == []
    assert decoded.batch.to_pylist() == golden_batch(topic).to_pylist()


@_EACH
def test_old_rows_still_have_their_old_digests(topic: Topic) -> None:
    data = (HERE / "arrow" / f"{_name(topic)}.arrows").read_bytes()
    vectors: list[dict[str, Any]] = orjson.loads(
        (HERE / "digest" / f"{_name(topic)}.json").read_bytes()
    )
    found = row_digests(topic, decode(data, topic.schema))
    assert [f"{high:016x}{low:016x}" for low, high in found] == [v["digest"] for v in vectors]


@_EACH
def test_json_and_digest_vectors_are_written_as_ever(topic: Topic) -> None:
    """Arrow's bytes may differ between versions of Arrow, so these are only read."""
    for path, content in golden_files(topic).items():
        if path.parent.name != "arrow":
            assert path.read_bytes() == content, path.name
