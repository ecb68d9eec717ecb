"""One platform under test: its folders, its programs as processes, its files, its foreign producer."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from connectors.chdb_address import running_store
from connectors.crash_points import CRASH_AT
from connectors.log import LogError, NewRecord, Writer, open_log
from connectors.topics import create_topics
from schemas.partition import partition_of
from tests.end_to_end.chaos.program import BREAK

PARTITIONS = 3
ROOT = Path(__file__).resolve().parents[3]
_FOREIGN = ("FRGN1", "FRGN2", "FRGN3", "FRGN4")
# Real ticks of one session: trades and quotes of one symbol, trades of two more.
_SHORT = ("ibm/20131007_trade.zip", "aig/20131007_trade.zip")
_LONG = (*_SHORT, "ibm/20131007_quote.zip", "bac/20131007_trade.zip")
_SESSION_BEGINS = "2013-10-07T13:30:00"


# One flow of each order and each place in the graph; a start of all takes seconds on Kafka.
FEW_FLOWS = (
    ("intake", "trade_signs", "bars_rolled", "breadth"),
    ("bars", "indicators", "nbbo", "breadth_parts"),
)


@dataclass(frozen=True, kw_only=True)
class Ticks:
    """The files that are fed, and so much of their session."""

    paths: tuple[Path, ...]
    ends: str

    @classmethod
    def of(cls, shared: Path, *, long: bool) -> "Ticks":
        """The files of the long run or the short one."""
        folder = shared / "ticks" / "us_equity_taq"
        names = _LONG if long else _SHORT
        paths = tuple(folder / name for name in names)
        return cls(paths=paths, ends="2013-10-07T20:00:00")

    @property
    def arguments(self) -> list[str]:
        """Of the verb feed."""
        return [
            *("feed", *(str(path) for path in self.paths)),
            *("--from", _SESSION_BEGINS, "--to", self.ends),
        ]


@dataclass(kw_only=True)
class Program:
    """A program of the platform, and its process while it runs."""

    name: str
    arguments: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0


@dataclass(kw_only=True)
class World:
    """A platform in a folder of its own.

    Parameters
    ----------
    home : Path
        Everything but a Kafka log lies there.
    log_url : str
        Of the log; the one in ``home`` where it is empty.
    broken : str
        Value of ``CHAOS_BREAK`` for its programs; empty for a sound platform.
    """

    home: Path
    log_url: str = ""
    broken: str = ""
    programs: list[Program] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        if not self.log_url:
            self.log_url = f"sqlite:///{self.home / 'log.db'}"
        with open_log(self.log_url) as log:
            create_topics(log, PARTITIONS)

    @property
    def environment(self) -> dict[str, str]:
        """Of every program."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith("TAPEFLOW_")}
        return {
            **kept,
            "TAPEFLOW_HOME": str(self.home),
            "TAPEFLOW_CONFIG": "",
            "TAPEFLOW_LOG": self.log_url,
            "TAPEFLOW_PARTITIONS": str(PARTITIONS),
            "TAPEFLOW_LAKE_FLUSH_S": "0.3",
            "TAPEFLOW_LIVE_LATENESS_S": "0.5",
            **({BREAK: self.broken} if self.broken else {}),
        }

    def start(self, program: Program, crash_at: str = "") -> None:
        """Start a program, with a crash point armed or none."""
        environment = self.environment | ({CRASH_AT: crash_at} if crash_at else {})
        with self.printed(program).open("ab") as out:
            program.process = subprocess.Popen(
                self.command(program.arguments),
                env=environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        program.starts += 1
        if program not in self.programs:
            self.programs.append(program)

    def printed(self, program: Program) -> Path:
        """Where a program's output goes."""
        return self.home / f"{program.name.replace(' ', '-')}.log"

    def last_words(self, program: Program) -> str:
        """The end of what a program printed."""
        return self.printed(program).read_text(errors="replace")[-600:].strip()

    def store_answers(self) -> bool:
        """Whether the store runs."""
        return running_store(self.home / "store") is not None

    def run(
        self, arguments: Sequence[str], *, timeout_s: float = 240.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a verb to its end."""
        return subprocess.run(
            self.command(arguments),
            env=self.environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The command of a verb, in small sizes."""
        return [sys.executable, "-m", "tests.end_to_end.chaos.program", *arguments]

    def stop(self, timeout_s: float = 150.0) -> Mapping[str, int]:
        """End every program as an operator does, the store last; the exit status of each that ran.

        One that is in the midst of a commit which Kafka leaves unanswered waits two minutes for it.
        """
        ended = {}
        for program in sorted(self.programs, key=lambda one: one.name == "store"):
            if program.process is not None and program.process.poll() is None:
                program.process.send_signal(signal.SIGTERM)
                ended[program.name] = program.process.wait(timeout_s)
        return ended

    def kill(self) -> None:
        """End every program at once."""
        for program in self.programs:
            if program.process is not None and program.process.poll() is None:
                program.process.kill()
                program.process.wait()


class ForeignProducer:
    """Someone else's program: trades as JSON into the inbox, in commits of its own.

    Parameters
    ----------
    log_url : str
        Of the log.
    count : int
        Messages in all.
    bad : int
        Every so manyth message is no trade; 0 for none.
    """

    def __init__(self, log_url: str, count: int, *, bad: int = 0) -> None:
        self._messages = [self._message(at, bad) for at in range(count)]
        self._log_url = log_url
        self._bad = bad
        self.sent = 0

    @property
    def good(self) -> int:
        """Messages sent that are trades."""
        return self.sent - self.bad

    @property
    def bad(self) -> int:
        """Messages sent that are none."""
        return self.sent // self._bad if self._bad else 0

    @property
    def left(self) -> int:
        """Messages that are still to be sent."""
        return len(self._messages) - self.sent

    def send(self, count: int) -> None:
        """Send some, all of them once; where the broker does not answer, none, or all on the next call."""
        try:
            with open_log(self._log_url) as log, log.writer("foreign") as writer:
                self._send(writer, count)
        except LogError:
            # The writer's number tells the next call how many of them came through.
            return

    def _send(self, writer: Writer, count: int) -> None:
        # A commit is one message's number: what a commit that went unanswered did is known by it.
        while self.sent < writer.number:
            self.sent += 1
        for message in self._messages[self.sent : self.sent + count]:
            writer.commit([message], writer.number + 1)
            self.sent += 1

    @staticmethod
    def _message(at: int, bad: int) -> NewRecord:
        symbol = _FOREIGN[at % len(_FOREIGN)]
        seconds = 13.5 * 3600 + at * 7
        clock = f"{int(seconds // 3600):02d}:{int(seconds % 3600 // 60):02d}:{seconds % 60:06.3f}"
        value = {
            "symbol": symbol,
            "venue": "N",
            "ts_event": f"2013-10-07T{clock}Z",
            "price": 20.0 + at % 17 / 8,
            "size": 100 + at % 5,
        }
        if bad and at % bad == bad - 1:
            value["price"] = "dear"
        # One symbol, one partition: order within a symbol is as it was sent.
        partition = partition_of(symbol, PARTITIONS)
        return NewRecord("trades.in", partition, orjson.dumps(value), key=symbol.encode())
