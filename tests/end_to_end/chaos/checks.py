"""What must hold after the last restart, checked by the product's verbs and by readers of our own."""

import csv
import io
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Mapping

import orjson

from connectors.log import Log, open_log
from connectors.scan import scan_rows
from flows.catalog import catalog
from flows.flow import Order
from schemas.codec import HEADER_FLOW, HEADER_LIVE
from schemas.digest import DigestSum, row_digests
from schemas.market import QUOTES, TRADES
from schemas.registry import TOPICS, raw_topics
from tests.end_to_end.chaos.director import ChaosError
from tests.end_to_end.chaos.world import ForeignProducer, Ticks, World

# Of one symbol: rows, and the sum of their milliseconds since midnight in New York.
Counts = dict[tuple[str, str], tuple[int, int]]
_NEW_YORK_MS = 4 * 3_600_000  # behind UTC, in October
_DAY_MS = 86_400_000
_BEGINS_MS, _ENDS_MS = 34_200_000, 57_600_000


def check_replay(world: World) -> None:
    """Every derived row, computed again from the log, is the row in the log."""
    done = world.run(["replay", "--compare"])
    if done.returncode:
        raise ChaosError(
            f"replay --compare is not identical:\n{done.stdout[-4000:]}{done.stderr[-1000:]}"
        )


def check_audit(world: World) -> None:
    """Every count holds: used, late, held, rejected, landed."""
    done = world.run(["audit", "--json"])
    if done.returncode:
        found = orjson.loads(done.stdout) if done.stdout else {"checks": []}
        bad = [check for check in found["checks"] if not check["ok"]]
        raise ChaosError(f"the audit fails: {bad}\n{done.stderr[-1000:]}")


def check_raw(
    world: World, ticks: Ticks, foreign: ForeignProducer, wanted: Mapping[str, str]
) -> None:
    """Every row of the files, and every message sent, is in the raw topics exactly once.

    Parameters
    ----------
    world : World
        With its log.
    ticks : Ticks
        The files; counted by a reader of our own.
    foreign : ForeignProducer
        What it has sent.
    wanted : mapping of str to str
        Topic to the digest of what an undisturbed feed of the files appends.
    """
    with open_log(world.log_url) as log:
        counts, digests, taken = _fed(log)
        dead = _rows(log, "dead_letter")
    if counts != count_files(ticks):
        raise ChaosError(f"the files have {count_files(ticks)}, the raw topics {counts}")
    if digests != wanted:
        raise ChaosError(f"an undisturbed feed gives {wanted}, this one {digests}")
    if (taken, dead) != (foreign.good, foreign.bad):
        raise ChaosError(
            f"of {foreign.good} good and {foreign.bad} bad messages came {taken} trades and {dead} dead letters"
        )


def count_files(ticks: Ticks) -> Counts:
    """Rows of the files within the session, and their times, read by Python's own csv and zip."""
    counts: defaultdict[tuple[str, str], tuple[int, int]] = defaultdict(lambda: (0, 0))
    for path in ticks.paths:
        kind = "trades" if "trade" in path.name else "quotes"
        key = kind, path.parent.name.upper()
        with zipfile.ZipFile(path) as archive:
            (member,) = archive.namelist()
            with archive.open(member) as lines:
                for row in csv.reader(io.TextIOWrapper(lines, "ascii")):
                    ms = int(row[0])
                    if _BEGINS_MS <= ms < _ENDS_MS:
                        rows, total = counts[key]
                        counts[key] = rows + 1, total + ms
    return dict(counts)


def digests_of_files(world: World) -> dict[str, str]:
    """Topic to digest of what feeds have put into a log."""
    with open_log(world.log_url) as log:
        return _fed(log)[1]


def receipts(world: World, flows: Iterable[str]) -> dict[str, tuple[int, str]]:
    """Rows and digest of raw topics, and of flows' topics that do not hang on when a row was read."""
    done = world.run(["receipt", "--json"])
    if done.returncode:
        raise ChaosError(f"receipt ended with {done.returncode}: {done.stderr[-800:]}")
    found = orjson.loads(done.stdout)
    kinds = catalog()
    wanted = {topic.name for name in flows for topic in kinds[name].outputs}
    wanted |= {topic.name for topic in raw_topics()}
    return {
        name: (found[name]["rows"], found[name]["digest"])
        for name in sorted(wanted - _of_arrival())
    }


def check_receipts(
    world: World, wanted: Mapping[str, tuple[int, str]], flows: Iterable[str]
) -> None:
    """Every topic has the rows of an undisturbed run."""
    found = receipts(world, flows)
    wrong = {name: (wanted[name], one) for name, one in found.items() if wanted[name] != one}
    if wrong:
        raise ChaosError(f"undisturbed and disturbed differ: {wrong}")


def _of_arrival() -> set[str]:
    """Topics whose rows may hang on the order of reads, by declaration: and what comes of them.

    Intake's own rows do not (each comes of its one message), but a dead letter says when its came.
    """
    kinds = list(catalog().values())
    found = {"dead_letter", "late"}
    grown = True
    while grown:
        of = [
            kind
            for kind in kinds
            if kind.name != "intake"
            and (kind.order is Order.ARRIVAL or found & {one.name for one in kind.inputs})
        ]
        more = {topic.name for kind in of for topic in kind.outputs} - found
        found |= more
        grown = bool(more)
    return found


def _fed(log: Log) -> tuple[Counts, dict[str, str], int]:
    """Counts and digests of rows that feeds of files appended, and how many trades intake did."""
    counts: defaultdict[tuple[str, str], tuple[int, int]] = defaultdict(lambda: (0, 0))
    digests, taken = {}, 0
    for topic in (TRADES, QUOTES):
        total = DigestSum()
        for partition in range(log.topics()[topic.name].partitions):
            for record, batch in scan_rows(log, topic, partition):
                if record.header(HEADER_FLOW) is not None:
                    taken += batch.num_rows
                elif record.header(HEADER_LIVE) is None:
                    total.add(row_digests(topic, batch))
                    symbols = batch.column("symbol").to_pylist()
                    times = batch.column("ts_event").cast("int64").to_pylist()
                    for symbol, time_ns in zip(symbols, times, strict=True):
                        rows, sum_ms = counts[topic.name, symbol]
                        ms = (time_ns // 1_000_000 - _NEW_YORK_MS) % _DAY_MS
                        counts[topic.name, symbol] = rows + 1, sum_ms + ms
        digests[topic.name] = total.hexdigest()
    return dict(counts), digests, taken


def _rows(log: Log, name: str) -> int:
    topic = TOPICS[name]
    return sum(
        batch.num_rows
        for partition in range(log.topics()[name].partitions)
        for _, batch in scan_rows(log, topic, partition)
    )
