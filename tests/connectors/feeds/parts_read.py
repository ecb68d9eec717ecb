"""All parts of a file, read side by side as the merge reads them."""

from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from connectors.feeds.archive import probe
from connectors.feeds.reading import Window, batches
from connectors.feeds.source import Fault, FeedBatch, Format, Source

NOW_NS = 1_767_268_800_000_000_000


@dataclass
class Read:
    """Rows and their lines by part, and what became no row."""

    rows: dict[str, pl.DataFrame] = field(default_factory=dict)
    lines: dict[str, list[int]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    skipped: dict[str, list[int]] = field(default_factory=dict)
    last_line: int = 0


def read_parts(form: Format, path: Path, block_bytes: int = 1 << 16, after_line: int = 0) -> Read:
    """Read a file's parts in turn, block by block."""
    sources = form.open(probe(path), block_bytes)
    found: dict[str, list[FeedBatch]] = {source.part: [] for source in sources}
    reading = {
        source.part: batches(source, after_line=after_line, window=Window(), latest_ns=NOW_NS)
        for source in sources
    }
    while reading:
        for part in list(reading):
            batch = next(reading[part], None)
            if batch is None:
                del reading[part]
            else:
                found[part].append(batch)
    return _gathered(sources, found)


def _gathered(sources: tuple[Source, ...], found: dict[str, list[FeedBatch]]) -> Read:
    read = Read()
    for source in sources:
        parts = found[source.part]
        frames = [pl.DataFrame(part.batch) for part in parts]
        empty = pl.DataFrame(source.topic.empty())
        joined = pl.concat([empty, *frames]).with_columns(pl.selectors.datetime().to_physical())
        read.rows[source.part] = joined.with_columns(pl.col(pl.Categorical).cast(pl.String))
        read.lines[source.part] = [line for part in parts for line in part.lines.tolist()]
        for part in parts:
            read.faults += part.faults
            read.last_line = max(read.last_line, part.last_line)
            for why, lines in part.skipped.items():
                read.skipped.setdefault(why, []).extend(lines.tolist())
    return read
