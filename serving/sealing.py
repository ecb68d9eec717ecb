"""The bodies of ``tapeflow receipt`` keygen, seal and verify."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any, TextIO

import orjson
import structlog
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from connectors.log import Log, open_log
from connectors.receipt_chain import Link, last_link, parse_link, read_links, seal
from connectors.receipt_findings import Problem, Verified
from connectors.receipt_heads import add_heads, check_folder, read_heads
from connectors.receipt_keys import load_private, load_public, make_keys, public_path
from connectors.receipt_ranges import OnRecords
from connectors.receipt_verify import verify
from serving.settings import Settings
from serving.times import wall_text

# A list that nobody reads to its end; --json has all.
_SHOWN = 20
_SHOW_S = 0.1


@dataclass(frozen=True, kw_only=True)
class SealRequest:
    """What the command line says of a seal."""

    heads: Path | None
    new_key: bool
    repaired: bool


def run_keygen(settings: Settings, *, as_json: bool, out: TextIO) -> int:
    """Make a pair of keys where the settings say."""
    path = settings.receipt_key_path
    public = make_keys(path)
    if as_json:
        value = {"private": str(path), "public": str(public_path(path)), "key": public}
        out.write(orjson.dumps(value).decode() + "\n")
    else:
        out.write(
            f"private key {path} (keep it; who has it can sign)\n"
            f"public key  {public_path(path)} (give it to whoever verifies)\n{public}\n"
        )
    return 0


def run_seal(settings: Settings, asked: SealRequest, *, as_json: bool, out: TextIO) -> int:
    """Seal what is new and print the chain's head."""
    with open_log(settings.log) as log:
        link = seal_once(log, settings, asked)
        head = link or last_link(log)
    if as_json:
        out.write(orjson.dumps(_link_value(link, head)).decode() + "\n")
    elif head is None:
        out.write("nothing to seal: the log is empty\n")
    else:
        new = "nothing new since" if link is None else f"sealed {link.rows:,} rows:"
        until = wall_text(head.appended_to or None)
        out.write(f"{new} link {head.number}, appended up to {until}\nhead {head.hash}\n")
    return 0


def run_seal_forever(
    settings: Settings, asked: SealRequest, *, every_s: float, stop: Event
) -> None:
    """Seal again and again until told to stop, and once more then."""
    logger = structlog.get_logger("receipts")
    with open_log(settings.log) as log:
        logger.info("sealing started", every_s=every_s, key=str(settings.receipt_key_path))
        ended = False
        while not ended:
            ended = stop.wait(every_s)
            link = seal_once(log, settings, asked)
            if link is not None:
                logger.info("receipt sealed", link=link.number, rows=link.rows, head=link.hash)
    logger.info("sealing stopped")


def seal_once(log: Log, settings: Settings, asked: SealRequest) -> Link | None:
    """Seal what is new, and write the heads outside that are not there yet."""
    key = load_private(settings.receipt_key_path)
    folder = asked.heads or settings.receipt_heads_path
    if folder is not None:
        # Before anything is sealed: a head that cannot be written outside is no head.
        check_folder(folder)
    with _progress("sealing") as begin:
        link = seal(log, key, new_key=asked.new_key, repaired=asked.repaired, on_records=begin)
    newest = link or last_link(log)
    if folder is not None and newest is not None:
        add_heads(folder, newest, lambda: (parse_link(value) for _, value in read_links(log)))
    return link


def run_verify(
    settings: Settings,
    *,
    heads: Sequence[str],
    heads_from: Path | None,
    keys: Sequence[Path],
    lake: str | None,
    as_json: bool,
    out: TextIO,
) -> int:
    """Verify the chain and print what was found; 0 where all holds, 1 where not."""
    trusted = [load_public(path) for path in keys or [public_path(settings.receipt_key_path)]]
    folder = heads_from or settings.receipt_heads_path
    numbered = read_heads(folder) if folder is not None else {}
    with ExitStack() as stack:
        log = stack.enter_context(open_log(settings.log))
        older = stack.enter_context(open_log(lake)) if lake is not None else None
        begin = stack.enter_context(_progress("verifying"))
        found = verify(
            log,
            trusted,
            heads=heads,
            numbered_heads=numbered,
            older=older,
            on_records=begin,
        )
    if as_json:
        value = {"ok": found.ok, **asdict(found)}
        out.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        _print(found, len(heads) + len(numbered), out)
    return 0 if found.ok else 1


def _print(found: Verified, heads: int, out: TextIO) -> None:
    out.write(
        f"links {found.links:,}, ranges counted again {found.ranges:,}, rows in them {found.rows:,}\n"
        f"head {found.head}\n"
    )
    if not heads:
        out.write(
            "no head from outside was given: whoever has the key could have made the whole chain anew\n"
        )
    _print_some("note", found.notes, out)
    if found.unsealed:
        out.write(f"{found.unsealed:,} offsets are not sealed yet\n")
    _print_some("WRONG", found.problems, out)
    if not found.ok:
        out.write(f"does not hold: {len(found.problems)}\n")
    elif found.uncounted:
        out.write(
            f"all that was counted holds; {found.uncounted:,} ranges were cut by retention and not counted\n"
        )
    else:
        out.write("all holds\n")


def _print_some(word: str, found: Sequence[Problem], out: TextIO) -> None:
    out.writelines(f"{word}: {one}\n" for one in found[:_SHOWN])
    if len(found) > _SHOWN:
        out.write(f"and {len(found) - _SHOWN} more like it; --json has all\n")


def _link_value(link: Link | None, head: Link | None) -> dict[str, Any]:
    return {
        "sealed": link is not None,
        "rows": 0 if link is None else link.rows,
        "link": None if head is None else head.number,
        "head": None if head is None else head.hash,
        "appended_to": None if head is None else head.appended_to,
    }


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int], OnRecords]]:
    """A bar over offsets on standard error, with rows and the time that is left."""
    columns = (
        TextColumn("{task.description}: {task.fields[rows]:,} rows"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:

        def begin(offsets: int) -> OnRecords:
            task = progress.add_task(what, total=offsets, rows=0)
            passed = rows = 0
            shown_s = 0.0

            def tell(more: int, more_rows: int) -> None:
                nonlocal passed, rows, shown_s
                passed += more
                rows += more_rows
                # Telling costs as much as hashing a small record.
                if monotonic() - shown_s > _SHOW_S:
                    shown_s = monotonic()
                    progress.update(task, completed=passed, rows=rows)

            return tell

        yield begin
