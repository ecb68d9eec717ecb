"""The contract of a flow: what it reads and emits, and how it is told of rows and of time.

A flow is a plain class. It imports no engine and no connector; `flows.engines` carries it.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from schemas.arrays import Bools, Int32s, Int64s
from schemas.topic import Topic


class FlowError(RuntimeError):
    """A flow cannot go on; the message says which, where and how to mend it."""


class Order(StrEnum):
    """In which order a flow sees the rows of its inputs.

    ``SINGLE``: one partitioned input, in log order, at once. ``EVENT``: inputs merged key by key on
    event time, then place in ``inputs``, offset and row; the engine finds late rows and holds rows until the
    key's smallest frontier has passed them. ``ARRIVAL``: at once, in the order in which the shard read;
    progress records hold that order, so that a replay follows it.
    """

    SINGLE = "single"
    EVENT = "event"
    ARRIVAL = "arrival"


@dataclass(frozen=True, kw_only=True)
class Input:
    """One input of a flow.

    Parameters
    ----------
    topic : Topic
        What is read.
    inbox : bool
        Whether the topic's inbox is read instead: foreign records, each as one row of `INBOX_SCHEMA`.
    broadcast : bool
        Whether every shard reads the whole topic (small reference topics, ARRIVAL order only), or
        shard *i* its partition *i*.
    """

    topic: Topic
    inbox: bool = False
    broadcast: bool = False

    @property
    def name(self) -> str:
        """Name of the log topic that is read."""
        return self.topic.inbox_name if self.inbox else self.topic.name


INBOX_SCHEMA = pa.schema(
    [
        pa.field("value", pa.binary(), nullable=True),
        pa.field("append_time", pa.int64(), nullable=False),
        pa.field("content_type", pa.string(), nullable=True),
    ]
)


@dataclass(frozen=True, kw_only=True)
class InputRows:
    """Rows of one input with their positions.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        n rows of the input's topic (or of `INBOX_SCHEMA`); never empty, never changed.
    partition : int
        Log partition that they are from.
    offset : numpy.ndarray of int64, shape (n,)
        Log offset of each row's record.
    row : numpy.ndarray of int32, shape (n,)
        Place of each row in its record.
    """

    batch: pa.RecordBatch
    partition: int
    offset: Int64s
    row: Int32s


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What `Flow.on_rows` gets: at most one batch an input, and the order of all their rows.

    Parameters
    ----------
    inputs : tuple of InputRows or None
        One place for each of the flow's inputs, None where it has no rows this time.
    input_index, row_index : numpy.ndarray of int32 and int64, or None
        The merged order: step *i* is row ``row_index[i]`` of input ``input_index[i]``. None in SINGLE and
        ARRIVAL order, where exactly one input has rows and its batch is in order.
    """

    inputs: tuple[InputRows | None, ...]
    input_index: Int32s | None = None
    row_index: Int64s | None = None

    @property
    def only(self) -> tuple[int, InputRows]:
        """Index and rows of the only input that has rows (SINGLE and ARRIVAL order)."""
        present = [(at, rows) for at, rows in enumerate(self.inputs) if rows is not None]
        if len(present) != 1:
            raise FlowError(f"rows of one input were expected, {len(present)} have rows")
        return present[0]


@dataclass(frozen=True, kw_only=True)
class Watermarks:
    """Keys whose time has passed.

    Parameters
    ----------
    keys : list of str
        Each at most once.
    times : numpy.ndarray of int64, shape (len(keys),)
        Up to when (exclusive), ns since 1970 UTC: no earlier row of the key will be used.
    input : int
        Which input spoke; -1 in EVENT order, where it is the smallest frontier over all inputs, as far as
        a watermark row of any of them covers it.
    """

    keys: list[str]
    times: Int64s
    input: int


@dataclass(frozen=True, kw_only=True)
class Emit:
    """Rows for one of the flow's output topics; n rows with exactly the topic's schema."""

    topic: Topic
    batch: pa.RecordBatch


@dataclass(frozen=True, kw_only=True)
class Late:
    """Rows that came too late for a window. The engine counts them and writes them to ``late``.

    Parameters
    ----------
    input : int
        Which input.
    index : numpy.ndarray of int64, shape (m,)
        Rows of that input's batch, ascending; a row is named once for every window that it missed.
    window : tuple of str, or list
        Label of the missed window, shape (m,).
    window_end, frontier : numpy.ndarray of int64, shape (m,)
        End of that window and the key's frontier, ns since 1970 UTC.
    used : numpy.ndarray of bool, shape (m,)
        Whether the row entered another window (then it is used, and the miss is counted apart).
    reason : str
        One fixed sentence.
    """

    input: int
    index: Int64s
    window: Sequence[str]
    window_end: Int64s
    frontier: Int64s
    used: Bools
    reason: str = "the window was closed"


Emitted = Emit | Late


@dataclass(frozen=True, kw_only=True)
class Carried:
    """That a flow's state goes on in a new epoch, and which snapshots this version of it reads.

    For state that is a book (open orders, positions, cash): it must outlive a change of parameters or of version.
    What windows have collected is begun anew instead.

    Parameters
    ----------
    layout : int
        Number of the form that `Flow.snapshot` gives its bytes.
    reads : tuple of int
        Layouts of earlier versions that `Flow.upgraded` turns into this one.
    """

    layout: int
    reads: tuple[int, ...] = ()


class Params(BaseModel):
    """Parameters of a flow: immutable, complete, and hashed into its epoch."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Flow(ABC):
    """A computation over topics.

    One instance serves one shard. It is told of rows and of time in a well-defined order (`Order`) and
    gives back what to emit. What it gives must depend on that order only, never on how rows were cut into
    batches, on a clock or on a hash order. Its state is bounded, and `snapshot` holds all of it.

    Parameters
    ----------
    params : Params
        An instance of the class's ``params_type``.
    snapshot : bytes or None
        What an earlier instance's `snapshot` gave, or None to begin.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    inputs: ClassVar[tuple[Input, ...]]
    outputs: ClassVar[tuple[Topic, ...]]
    order: ClassVar[Order] = Order.SINGLE
    params_type: ClassVar[type[Params]] = Params
    looks_up: ClassVar[Topic | None] = None
    """A broadcast input (ARRIVAL order) with what others know, which the engine asks for, appends and hands
    over before rows that need it: so that a replay, which asks nobody, sees the same."""

    carried: ClassVar[Carried | None] = None
    """Whether a new epoch (other parameters, another version) begins with the state of the one before, at exactly
    that one's last commit. ``__init__`` is then given a snapshot that was made under other parameters: its own apply
    from there on, and what the state cannot be under them is an error that says so. None: it begins empty."""

    @abstractmethod
    def __init__(self, params: Params, snapshot: bytes | None) -> None: ...

    @abstractmethod
    def on_rows(self, rows: Rows) -> list[Emitted]:
        """Take rows in; give what they caused."""

    @abstractmethod
    def on_watermark(self, watermarks: Watermarks) -> list[Emitted]:
        """Take passed time in: close what is open up to there; give what that caused."""

    def speaks_of(self, key: str) -> bool:
        """Whether the outputs can have rows of a key; the engine passes on watermark rows of such keys only."""
        del key
        return True

    def missing(self, rows: Rows) -> list[str]:
        """Keys of `looks_up` that these rows, about to be taken in, need and that have not been told yet.

        Asked in live runs only, so nothing but what is appended to `looks_up` may follow from it.
        """
        del rows
        return []

    @abstractmethod
    def snapshot(self) -> bytes:
        """The whole state, versioned; the same state gives the same bytes."""

    @classmethod
    def upgraded(cls, snapshot: bytes, layout: int) -> bytes:
        """A snapshot of an earlier version in this version's layout.

        Parameters
        ----------
        snapshot : bytes
            What an earlier version's `snapshot` gave.
        layout : int
            Its layout, one of ``carried.reads``.
        """
        del snapshot
        raise FlowError(
            f"flow {cls.name!r}: nothing turns snapshots of layout {layout} into those of version {cls.version}"
        )
