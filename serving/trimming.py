"""The body of ``tapeflow topics trim``, and the thread of `land` that does the same once a minute."""

import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, TextIO

import orjson
import structlog
from rich.console import Console
from rich.table import Table

from connectors.log import CorruptLogError, Log, LogError, open_log
from connectors.retention import Cut, Retention, apply, plan, policies
from serving.sizes import bytes_text
from serving.times import wall_text

# A cut may come this much late; a look costs as much as reading the flows' snapshots.
_EVERY_S = 60.0

log_line = structlog.get_logger(__name__)


def retentions(settings: Mapping[str, str]) -> dict[str, Retention]:
    """The setting ``retention``, read."""
    return {name: Retention.of(text) for name, text in settings.items()}


def run_trim(
    log: Log,
    settings: Mapping[str, Retention],
    *,
    dry_run: bool,
    without: Collection[str],
    as_json: bool,
    out: TextIO,
) -> int:
    """Cut what retention allows, or only say what it would cut, and what holds back the rest; exit code 0."""
    damaged: list[CorruptLogError] = []
    cuts = plan(log, settings, time.time_ns(), without=without, on_damage=damaged.append)
    given_back = 0 if dry_run else apply(log, cuts)
    if as_json:
        value = {
            "dry_run": dry_run,
            "given_back_bytes": given_back,
            "cuts": [cut_value(one) for one in cuts],
            "damaged_snapshots": [str(one) for one in damaged],
        }
        out.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")
        return 0
    _print(cuts, Console(file=out), dry_run=dry_run)
    out.writelines(f"A snapshot is damaged and counts for none: {one}\n" for one in damaged)
    if not policies(log, settings):
        out.write("No topic has a retention: `[retention]` in tapeflow.toml gives one\n")
    elif not dry_run:
        out.write(f"{bytes_text(given_back)} given back to the file system\n")
    return 0


def cut_value(one: Cut) -> dict[str, Any]:
    """A cut as JSON has it."""
    return asdict(one)


@contextmanager
def trimming(log_url: str, settings: Mapping[str, Retention]) -> Iterator[None]:
    """Cut once a minute, in a thread of its own, as long as the context lasts.

    Parameters
    ----------
    log_url : str
        Opened anew by the thread.
    settings : mapping of str to Retention
        By topic. Topics that declare a retention of their own are cut too.
    """
    stop = threading.Event()
    thread = threading.Thread(
        target=_run, args=(log_url, settings, stop), name="retention", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _run(log_url: str, settings: Mapping[str, Retention], stop: threading.Event) -> None:
    while not stop.wait(_EVERY_S):
        try:
            with open_log(log_url) as log:
                trim_once(log, settings)
        except LogError as error:
            # Nothing depends on a cut; what is wrong with the log ends those who do.
            log_line.warning("retention_failed", reason=str(error))


def trim_once(log: Log, settings: Mapping[str, Retention]) -> None:
    """Cut what may be cut now, and tell each cut."""
    cuts = plan(log, settings, time.time_ns(), on_damage=_warn)
    given_back = apply(log, cuts)
    for one in cuts:
        if one.before > one.start:
            log_line.info(
                "log_cut",
                topic=one.topic,
                partition=one.partition,
                before=one.before,
                records=one.records,
                held_by=one.held_by,
            )
    if given_back:
        log_line.info("space_given_back", size_bytes=given_back)


def _warn(error: CorruptLogError) -> None:
    log_line.warning("snapshot_damaged", reason=str(error))


def _print(cuts: Sequence[Cut], console: Console, *, dry_run: bool) -> None:
    cuts = [one for one in cuts if one.end > one.start]
    if not cuts:
        return
    table = Table(title="Retention" + (": what would be cut" if dry_run else ""))
    for name in (
        "topic",
        "keeps",
        "partition",
        "offsets",
        "cut below",
        "rows",
        "bytes",
        "held back by",
    ):
        table.add_column(name, justify="right" if name in ("rows", "bytes") else "left")
    for one in cuts:
        table.add_row(
            one.topic,
            one.policy,
            str(one.partition),
            f"{one.start}-{one.end}",
            str(one.before) if one.before > one.start else "",
            f"{one.rows:,}",
            bytes_text(one.size_bytes),
            f"{one.held_by} (would cut below {one.wanted})" if one.held_by else "",
        )
    console.print(table)
    console.print(f"as of {wall_text(time.time_ns())} UTC")
