"""A flow with its order: takes decoded segments, gives what to emit and what to count. No log, no I/O.

Every engine carries flows through this class, so that order, lateness, held rows, watermarks and counts
are the same in all of them.
"""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from flows.engines.event_order import EventOrder
from flows.engines.late_rows import late_emit
from flows.engines.parameters import canonical
from flows.engines.segments import Segment
from flows.flow import Emit, Emitted, Flow, FlowError, Input, Late, Order, Params, Rows, Watermarks
from flows.snapshot import SnapshotError, pack_parts, unpack
from schemas.arrays import Int64s
from schemas.faults import DEAD_LETTER, LATE
from schemas.topic import Topic

_KIND = "stepper"
_VERSION = 2
# More keys than any market has symbols; a bound, so that a wrong key field is an error, not a leak.
_MAX_KEYS = 1_000_000


@dataclass
class Counts:
    """What became of the rows of one input: read = used + late + held (+ rejected, for an inbox).

    ``missed`` counts closed windows that used rows missed; it is apart from that sum.
    """

    read: int = 0
    used: int = 0
    late: int = 0
    held: int = 0
    missed: int = 0
    rejected: int = 0


@dataclass(frozen=True, kw_only=True)
class Passed:
    """Watermark rows for an output topic, behind the rows that they caused."""

    topic: Topic
    keys: list[str]
    times: Int64s


Output = Emit | Passed


class Stepper:
    """Carries one instance of a flow.

    Parameters
    ----------
    kind : type of Flow
        The flow.
    params : Params
        Its parameters.
    snapshot : bytes or None
        What `snapshot` of an earlier stepper of the same flow gave.
    """

    def __init__(self, kind: type[Flow], params: Params, snapshot: bytes | None = None) -> None:
        check_declaration(kind)
        self.kind = kind
        self.params = canonical(params)
        self.counts = {declared.name: Counts() for declared in kind.inputs}
        self.order = EventOrder(kind, _MAX_KEYS) if kind.order is Order.EVENT else None
        self._partitioned = [at for at, one in enumerate(kind.inputs) if _keeps_time(one)]
        self._passed: dict[int, dict[str, int]] = {at: {} for at in self._partitioned}
        state = None if snapshot is None else self._restore(snapshot)
        self.flow = kind(self.params, state)
        # Set while only the order is brought back (EVENT): the flow is then told nothing.
        self.skip_flow = False

    def take(self, segment: Segment) -> list[Output]:
        """Carry a segment through the flow; what it gave, in order."""
        if segment.rows is not None:
            self.counts[self.kind.inputs[segment.input].name].read += segment.rows.batch.num_rows
        if self.order is not None:
            return self._take_in_event_order(self.order, segment)
        if segment.rows is not None:
            rows = Rows(inputs=self._placed(segment))
            self._used(rows)
            return self._outputs(self.flow.on_rows(rows), rows)
        return self._take_watermarks(segment)

    def missing(self, segment: Segment) -> list[str]:
        """Keys of the flow's `looks_up` that it must be told of before it takes a segment of rows in."""
        return self.flow.missing(Rows(inputs=self._placed(segment)))

    def held(self, at: int) -> int:
        """Rows of input ``at`` that wait for other inputs (EVENT order)."""
        return 0 if self.order is None else self.order.held(at)

    def begin_epoch(
        self, params: Params, inputs: Collection[str], *, carried: bool = False
    ) -> None:
        """Go on with a flow of other parameters, and the inputs of that epoch.

        The flow is a fresh one, or has the state of the one before where that is carried. In EVENT order
        frontiers and held rows are kept anyway: a held row is one that no epoch has used yet.
        """
        self.params = canonical(params)
        self.flow = self.kind(self.params, self.flow.snapshot() if carried else None)
        if not carried:
            self._passed = {at: {} for at in self._partitioned}
        self.read_inputs(inputs)

    def read_inputs(self, names: Collection[str]) -> None:
        """Which inputs there are for now: EVENT order waits for no other (one may be declared later)."""
        if self.order is not None:
            self.order.read_inputs(names)

    def restore_order(self, snapshot: bytes) -> None:
        """Take counts, frontiers and held rows of a snapshot over, and nothing of its flow's own state.

        The snapshot may be of another version of the flow, with other inputs and parameters.
        """
        head, arrays = unpack(snapshot, _KIND, _VERSION)
        self._restore_order(head, arrays)

    def snapshot(self) -> bytes:
        """The whole state: order, counts and the flow's own snapshot."""
        return b"".join(self.snapshot_parts())

    def snapshot_parts(self) -> list[Any]:
        """As `snapshot`, in parts that nothing changes any more: joining them may be left to a thread."""
        state = np.frombuffer(self.flow.snapshot(), dtype=np.uint8)
        order_head, order_arrays = ({}, {}) if self.order is None else self.order.state()
        # Frontiers go on while the snapshot is appended.
        order_arrays = {name: np.array(array) for name, array in order_arrays.items()}
        head: dict[str, Any] = {
            "flow": self.kind.name,
            "version": self.kind.version,
            "counts": {name: asdict(counts) for name, counts in self.counts.items()},
            "passed": [
                [self.kind.inputs[at].name, sorted(times.items())]
                for at, times in sorted(self._passed.items())
            ],
            "order": order_head,
        }
        if self.kind.carried is not None:
            head["layout"] = self.kind.carried.layout
        return pack_parts(_KIND, _VERSION, head, {"flow": state, **order_arrays})

    def _restore(self, snapshot: bytes) -> bytes:
        head, arrays = unpack(snapshot, _KIND, _VERSION)
        found = (head["flow"], head["version"])
        # State that is carried over an epoch may be of an earlier version.
        if found != (self.kind.name, self.kind.version) and (
            self.kind.carried is None or head["flow"] != self.kind.name
        ):
            raise FlowError(
                f"the snapshot is of flow {found}, not {(self.kind.name, self.kind.version)}"
            )
        passed = {name: dict(times) for name, times in head["passed"]}
        self._passed = {at: passed.get(self.kind.inputs[at].name, {}) for at in self._partitioned}
        self._restore_order(head, arrays)
        return _in_present_layout(self.kind, head.get("layout"), arrays["flow"].tobytes())

    def _restore_order(self, head: dict[str, Any], arrays: dict[str, Any]) -> None:
        # By name: an input that was declared after the snapshot has nothing in it, and may shift places.
        names = {declared.name for declared in self.kind.inputs}
        self.counts |= {
            name: Counts(**counts) for name, counts in head["counts"].items() if name in names
        }
        if self.order is not None:
            self.order.restore(head["order"], arrays)

    def _placed(self, segment: Segment) -> tuple[Any, ...]:
        return tuple(
            segment.rows if at == segment.input else None for at in range(len(self.kind.inputs))
        )

    def _take_in_event_order(self, order: EventOrder, segment: Segment) -> list[Output]:
        late, rows, passed = order.take(segment)
        outputs: list[Output] = []
        if late is not None:
            whole = Rows(inputs=self._placed(segment))
            # The flow was not given these rows: counted as used here, then taken off like any late row.
            self.counts[self.kind.inputs[late.input].name].used += len(late.index)
            outputs += self._outputs([late], whole)
        if rows is not None:
            self._used(rows)
        if rows is not None and not self.skip_flow:
            outputs += self._outputs(self.flow.on_rows(rows), rows)
        if passed is not None and not self.skip_flow:
            outputs += self._outputs(self.flow.on_watermark(passed), None)
            outputs += self._forward(passed)
        for at, declared in enumerate(self.kind.inputs):
            self.counts[declared.name].held = order.held(at)
        return outputs

    def _take_watermarks(self, segment: Segment) -> list[Output]:
        batch = segment.watermarks
        passed = Watermarks(
            keys=batch.column("key").to_pylist(),
            times=batch.column("ts_event").cast(pa.int64()).to_numpy(),
            input=segment.input,
        )
        outputs = self._outputs(self.flow.on_watermark(passed), None)
        return outputs + self._forward(self._passed_by_all(passed))

    def _passed_by_all(self, passed: Watermarks) -> Watermarks:
        """Of the keys that an input's watermarks speak of, those that every input has let pass."""
        if self.kind.order is Order.SINGLE:
            return passed
        if passed.input not in self._passed:
            return Watermarks(keys=[], times=np.empty(0, np.int64), input=passed.input)
        own = self._passed[passed.input]
        keys: list[str] = []
        times: list[int] = []
        for key, time in zip(passed.keys, passed.times.tolist(), strict=True):
            before = self._smallest(key)
            if key not in own and len(own) >= _MAX_KEYS:
                raise FlowError(
                    f"flow {self.kind.name!r}: watermark rows of {self.kind.inputs[passed.input].name} "
                    f"name more than {_MAX_KEYS:,} keys, {key!r} is one more; its key field must name "
                    "what there are few of, such as symbols or accounts"
                )
            own[key] = max(own.get(key, time), time)
            after = self._smallest(key)
            if after is not None and after != before:
                keys.append(key)
                times.append(after)
        return Watermarks(keys=keys, times=np.array(times, np.int64), input=passed.input)

    def _smallest(self, key: str) -> int | None:
        known = [self._passed[at].get(key) for at in self._partitioned]
        times = [time for time in known if time is not None]
        return min(times) if len(times) == len(known) else None

    def _forward(self, passed: Watermarks) -> list[Output]:
        places = [at for at, key in enumerate(passed.keys) if self.flow.speaks_of(key)]
        if not places:
            return []
        keys, times = [passed.keys[at] for at in places], passed.times[places]
        key_fields = {declared.topic.key for declared in self.kind.inputs if _keeps_time(declared)}
        return [
            Passed(topic=topic, keys=keys, times=times)
            for topic in self.kind.outputs
            if topic.key in key_fields
        ]

    def _used(self, rows: Rows) -> None:
        for declared, one in zip(self.kind.inputs, rows.inputs, strict=True):
            if one is not None:
                self.counts[declared.name].used += one.batch.num_rows

    def _outputs(self, emitted: list[Emitted], rows: Rows | None) -> list[Output]:
        outputs: list[Output] = []
        for one in emitted:
            if isinstance(one, Late):
                outputs += self._late(one, rows)
            elif one.batch.num_rows:
                self._rejected(one, rows)
                outputs.append(one)
        return outputs

    def _rejected(self, emit: Emit, rows: Rows | None) -> None:
        if emit.topic is DEAD_LETTER and rows is not None:
            declared = self.kind.inputs[rows.only[0]]
            self.counts[declared.name].rejected += emit.batch.num_rows

    def _late(self, late: Late, rows: Rows | None) -> list[Output]:
        if not len(late.index):
            return []
        declared = self.kind.inputs[late.input]
        source = None if rows is None else rows.inputs[late.input]
        if source is None:
            raise FlowError(
                f"flow {self.kind.name!r} calls rows of input {late.input} late, which has none"
            )
        counts = self.counts[declared.name]
        unused = len(np.unique(late.index[~late.used]))
        counts.missed += int(np.count_nonzero(late.used))
        counts.late += unused
        # They were counted as used when they were given to the flow.
        counts.used -= unused
        return [late_emit(self.kind, declared, source, late)]


def _in_present_layout(kind: type[Flow], layout: int | None, state: bytes) -> bytes:
    """A flow's snapshot as the installed version takes it.

    One that does not say its layout is from before there were declared ones: the flow itself knows its bytes.
    """
    carried = kind.carried
    if carried is None or layout in {None, carried.layout}:
        return state
    if layout not in carried.reads:
        raise SnapshotError(
            f"flow {kind.name!r}: version {kind.version} reads snapshots of layout "
            f"{', '.join(map(str, (carried.layout, *carried.reads)))}, and this one is of {layout}"
        )
    return kind.upgraded(state, layout)


def _keeps_time(declared: Input) -> bool:
    return not declared.inbox and not declared.broadcast


def _has_no_upgrade(kind: type[Flow]) -> bool:
    # Of each access to a class method another object is made; the function is one.
    return getattr(kind.upgraded, "__func__", None) is getattr(Flow.upgraded, "__func__", None)


def check_declaration(kind: type[Flow]) -> None:
    """Refuse a flow whose declaration contradicts itself.

    Raises
    ------
    FlowError
        Naming the flow and what to change.
    """
    problem = ""
    if kind.order is Order.SINGLE and len(kind.inputs) != 1:
        problem = "order SINGLE needs exactly one input"
    elif kind.order is not Order.ARRIVAL and any(one.broadcast or one.inbox for one in kind.inputs):
        problem = "inboxes and broadcast inputs need order ARRIVAL"
    elif LATE in kind.outputs:
        problem = "late is written by the engine; leave it out of outputs"
    elif len({declared.name for declared in kind.inputs}) != len(kind.inputs):
        problem = "an input is declared twice"
    elif kind.carried is not None and kind.carried.layout in kind.carried.reads:
        problem = "its layout is among the earlier ones that it reads"
    elif kind.carried is not None and kind.carried.reads and _has_no_upgrade(kind):
        problem = "it declares to read earlier layouts, and has no method `upgraded`"
    if problem:
        raise FlowError(f"flow {kind.name!r}: {problem}")
