"""The lander's own records in ``_landings``: intents before it writes, dones after, checkpoints of both.

A state is read back from the newest checkpoint and what follows it, however long the history is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.control import LANDINGS_TOPIC, control_record, control_value
from connectors.crash_points import crash_point
from connectors.log import Log, LogError, NewRecord, Writer

CLICKHOUSE = "clickhouse"
LAKE = "lake"
WRITER = "lander"
# A checkpoint after so many records: a start reads about that many, and so many are kept.
CHECKPOINT_EVERY = 2_000
_SEARCH_STEP = 512

Positions = dict[str, dict[str, dict[int, int]]]


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets ``start`` (inclusive) to ``end`` (exclusive) of a partition."""

    partition: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Intent:
    """What is about to be written to a sink: exactly these ranges of a topic, under this token."""

    number: int
    sink: str
    topic: str
    spans: tuple[Span, ...]
    token: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "id": self.number,
            "sink": self.sink,
            "topic": self.topic,
            "ranges": [[span.partition, span.start, span.end] for span in self.spans],
            "token": self.token,
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> "Intent":
        """From JSON."""
        spans = tuple(Span(*one) for one in value["ranges"])
        return cls(value["id"], value["sink"], value["topic"], spans, value["token"])


@dataclass(frozen=True, slots=True)
class Done:
    """An intent that is in its sink."""

    intent: Intent
    landed_at_ns: int
    rows: int


@dataclass
class LandingState:
    """Up to where each sink has each topic, and what was begun and not finished.

    Parameters
    ----------
    positions : dict
        Sink to topic to partition to the next offset.
    open : dict
        Intents without a done, by number.
    number : int
        The largest intent number used.
    mending : bool
        Whether a repair has cut the log and not yet the sinks (see `connectors.landing_loss`).
    """

    positions: Positions = field(default_factory=lambda: {CLICKHOUSE: {}, LAKE: {}})
    open: dict[int, Intent] = field(default_factory=dict)
    number: int = 0
    mending: bool = False

    def position(self, sink: str, topic: str, partition: int) -> int | None:
        """The next offset of a partition, or None where nothing of it has landed."""
        return self.positions[sink].get(topic, {}).get(partition)

    def apply(self, value: dict[str, Any]) -> None:
        """Take one record's value into account."""
        kind = value["kind"]
        if kind == "checkpoint":
            self.positions = {
                sink: {
                    topic: {int(partition): offset for partition, offset in ends.items()}
                    for topic, ends in topics.items()
                }
                for sink, topics in value["positions"].items()
            }
            self.open = {one["id"]: Intent.from_dict(one) for one in value["open"]}
            self.number = value["number"]
            self.mending = value.get("mending", False)
        elif kind == "intent":
            intent = Intent.from_dict(value)
            self.open[intent.number] = intent
            self.number = max(self.number, intent.number)
        elif kind == "done":
            intent = Intent.from_dict(value)
            self.open.pop(intent.number, None)
            ends = self.positions[intent.sink].setdefault(intent.topic, {})
            for span in intent.spans:
                ends[span.partition] = max(span.end, ends.get(span.partition, 0))

    def checkpoint(self) -> dict[str, Any]:
        """The value of a checkpoint record."""
        positions = {
            sink: {
                topic: {str(partition): offset for partition, offset in ends.items()}
                for topic, ends in topics.items()
            }
            for sink, topics in self.positions.items()
        }
        return {
            "kind": "checkpoint",
            "positions": positions,
            "open": [intent.as_dict() for intent in self.open.values()],
            "number": self.number,
            "mending": self.mending,
        }


def read_state(log: Log) -> LandingState:
    """The lander's state as the log has it; an empty one before it ever ran."""
    state = LandingState()
    for value in _since_checkpoint(log):
        state.apply(value)
    return state


def landed_positions(log: Log) -> Positions:
    """Sink to topic to partition to the offset up to which (exclusive) all rows have landed."""
    return read_state(log).positions


class LandingRecorder:
    """Writes the lander's records as the log's only ``lander``; a second copy fences the first.

    Parameters
    ----------
    log : Log
        Where.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        # The fence first: no older copy can add to the state once it is being read.
        self._writer: Writer = log.writer(WRITER)
        self.state = read_state(log)
        self._since = 0
        self._trim_before: int | None = None

    def intent(self, sink: str, topic: str, spans: Sequence[Span]) -> Intent:
        """A new intent; not recorded until `record` is given it."""
        self.state.number += 1
        number = self.state.number
        parts = "+".join(f"{span.partition}:{span.start}-{span.end}" for span in spans)
        # The token names the rows, and not only the intent: no other range can ever have the same.
        return Intent(number, sink, topic, tuple(spans), f"{topic}/{number}/{parts}")

    def record(self, dones: Sequence[Done], intents: Sequence[Intent]) -> None:
        """Put dones and new intents into the log, all or none.

        Raises
        ------
        connectors.log.FencedError
            Where another lander has started on this log.
        """
        values = [
            one.intent.as_dict() | {"kind": "done", "landed_at": one.landed_at_ns, "rows": one.rows}
            for one in dones
        ]
        values += [intent.as_dict() | {"kind": "intent"} for intent in intents]
        if not values:
            return
        for value in values:
            self.state.apply(value)
        self._since += len(values)
        checkpoint = self._since >= CHECKPOINT_EVERY
        if checkpoint:
            values.append(self.state.checkpoint())
        offsets = self._writer.commit([_record(value) for value in values], self._writer.number + 1)
        self._note(dones)
        if checkpoint:
            crash_point("landings: checkpoint recorded")
            self._since = 0
            if self._trim_before is not None:
                self._log.trim(LANDINGS_TOPIC, 0, self._trim_before)
            # One checkpoint more than needed stays, for whoever reads while this one trims.
            self._trim_before = offsets[-1]

    def close(self) -> None:
        """Give the writer back."""
        self._writer.close()

    def _note(self, dones: Sequence[Done]) -> None:
        """Show what has landed to the log's own tools, a group a sink."""
        landed: dict[str, dict[tuple[str, int], int]] = {}
        for done in dones:
            positions = landed.setdefault(done.intent.sink, {})
            for span in done.intent.spans:
                positions[done.intent.topic, span.partition] = span.end
        for sink, positions in landed.items():
            self._log.note_positions(f"tapeflow.{WRITER}.{sink}", positions)


def _record(value: dict[str, Any]) -> NewRecord:
    return control_record(LANDINGS_TOPIC, 0, value)


def _since_checkpoint(log: Log) -> list[dict[str, Any]]:
    """Values from the newest checkpoint on, searched backwards in steps."""
    first, end = log.start(LANDINGS_TOPIC, 0), log.end(LANDINGS_TOPIC, 0)
    values: list[dict[str, Any]] = []
    stop = end
    while stop > first:
        start = max(first, stop - _SEARCH_STEP)
        step = _values(log, start, stop)
        values = step + values
        for at in range(len(step) - 1, -1, -1):
            if step[at]["kind"] == "checkpoint":
                return values[at:]
        stop = start
    return values


def _values(log: Log, start: int, stop: int) -> list[dict[str, Any]]:
    values = []
    offset = start
    while offset < stop:
        chunk = log.read(LANDINGS_TOPIC, 0, offset)
        if chunk.next_offset <= offset:
            raise LogError(
                f"{LANDINGS_TOPIC}[0]: nothing to read at offset {offset}, although the end is {stop}"
            )
        values += [control_value(record) for record in chunk.records if record.offset < stop]
        offset = chunk.next_offset
    return values
