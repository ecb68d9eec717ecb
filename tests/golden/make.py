"""Writes the golden files of every schema version and codec: ``python -m tests.golden.make``.

A file that is there is never written again: it is what an earlier Tapeflow wrote, and must be read for
ever. A new schema version or codec gives new files.
"""

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from schemas.codec import encode
from schemas.json_codec import encode_lines
from schemas.topic import Topic
from tests.golden.canonical import canonical, digest
from tests.golden.rows import ALL, golden_batch, golden_rows

HERE = Path(__file__).parent


def digest_vectors(topic: Topic) -> bytes:
    """Row, canonical bytes and digest (high half first) of each golden row, as JSON."""
    vectors = []
    for row in golden_rows(topic):
        data = canonical(topic, row)
        low, high = digest(data)
        vectors.append(
            {
                "row": {name: _shown(value) for name, value in row.items()},
                "canonical": data.hex(),
                "digest": f"{high:016x}{low:016x}",
            }
        )
    return orjson.dumps(vectors, option=orjson.OPT_INDENT_2) + b"\n"


def golden_files(topic: Topic) -> dict[Path, bytes]:
    """Path to what this version of Tapeflow would write there."""
    name = f"{topic.name}-{topic.version}"
    batch = golden_batch(topic)
    return {
        HERE / "digest" / f"{name}.json": digest_vectors(topic),
        HERE / "arrow" / f"{name}.arrows": encode(batch),
        HERE / "json" / f"{name}.jsonl": encode_lines(topic, batch),
    }


def _shown(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.hex() if isinstance(value, bytes) else value


def _main() -> None:
    for topic in ALL:
        for path, content in golden_files(topic).items():
            path.parent.mkdir(exist_ok=True)
            if path.exists():
                continue
            path.write_bytes(content)
            sys.stdout.write(f"made {path.name}\n")


if __name__ == "__main__":
    _main()
