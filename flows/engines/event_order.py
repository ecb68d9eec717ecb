"""Order EVENT: inputs merged key by key on event time; rows are held until no earlier one can come."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from flows.engines.frontiers import UNSET, Frontiers
from flows.engines.late_rows import BEHIND
from flows.engines.segments import Segment, join_batches
from flows.flow import Flow, InputRows, Late, Rows, Watermarks
from flows.keys import KeySlots
from schemas.arrays import Bools, Int64s
from schemas.codec import decode, encode

_BOUND = "the engine's bound"
_CURE = "the inputs' key fields must name what there are few of, such as symbols"


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Held rows of one key, and the inputs whose frontier is the last."""

    key: str
    rows: int
    inputs: list[str]

    def __str__(self) -> str:
        return f"{self.rows:,} of {self.key!r} for {' and '.join(self.inputs)}"


@dataclass(frozen=True, kw_only=True)
class _Block:
    """Held rows of one input, with key slot and time of each."""

    rows: InputRows
    slots: Int64s
    times: Int64s

    def pick(self, mask: Bools) -> "_Block":
        index = np.flatnonzero(mask)
        return _Block(
            rows=InputRows(
                batch=self.rows.batch.take(pa.array(index)),
                partition=self.rows.partition,
                offset=self.rows.offset[index],
                row=self.rows.row[index],
            ),
            slots=self.slots[index],
            times=self.times[index],
        )


class EventOrder:
    """Holds, releases and orders the rows of a flow's inputs.

    A row is late if it is behind its own input's frontier for its key. It is released when its time is
    before the smallest frontier of its key over the inputs. What is released in which order within a key
    hangs on the log alone, not on how the inputs' reads were interleaved: a row released later is never
    before the smallest frontier, and all rows before it have been released.

    Parameters
    ----------
    flow : type of Flow
        Whose inputs are merged; none of them broadcast or an inbox.
    max_keys : int
        Bound of the key table.
    """

    def __init__(self, flow: type[Flow], max_keys: int) -> None:
        self.flow = flow
        self.keys = KeySlots([], max_keys, _BOUND, _CURE)
        self.frontiers = Frontiers([one.topic.lateness_ns for one in flow.inputs])
        self._held: list[list[_Block]] = [[] for _ in flow.inputs]
        self._read: Int64s | None = None

    def read_inputs(self, names: Collection[str]) -> None:
        """Which inputs there are for now: no row waits for another one."""
        places = [at for at, one in enumerate(self.flow.inputs) if one.name in names]
        whole = len(places) == len(self.flow.inputs)
        self._read = None if whole else np.array(places, dtype=np.int64)

    def held(self, at: int) -> int:
        """Rows of input ``at`` that wait for other inputs."""
        return sum(len(block.slots) for block in self._held[at])

    def waits_for(self, at: int, most: int = 3) -> list[Waiting]:
        """For which inputs the held rows of input ``at`` wait: the keys with the most of them."""
        if not self._held[at]:
            return []
        slots = np.concatenate([block.slots for block in self._held[at]])
        rows = np.bincount(slots)
        found = []
        for slot in np.argsort(-rows, kind="stable")[:most].tolist():
            if rows[slot]:
                frontier = self.frontiers.frontier[:, slot]
                last = [
                    declared.name
                    for place, declared in enumerate(self.flow.inputs)
                    if frontier[place] == frontier.min()
                ]
                found.append(Waiting(key=self.keys.keys[slot], rows=int(rows[slot]), inputs=last))
        return found

    def take(self, segment: Segment) -> tuple[Late | None, Rows | None, Watermarks | None]:
        """What a segment causes: late rows of it, released rows in order, and passed time after them."""
        late = None
        if segment.rows is not None:
            late = self._hold(segment.input, segment.rows)
        else:
            self._pass(segment)
        rows = self._release()
        slots, times = self.frontiers.newly_passed(self._read)
        passed = None
        if len(slots):
            names = [self.keys.keys[slot] for slot in slots]
            passed = Watermarks(keys=names, times=times, input=-1)
        return late, rows, passed

    def _hold(self, at: int, rows: InputRows) -> Late | None:
        topic = self.flow.inputs[at].topic
        slots = self.keys.of(rows.batch.column(topic.key))
        self.frontiers.grow(len(self.keys))
        times = rows.batch.column(topic.event_time).cast(pa.int64()).to_numpy()
        before = self.frontiers.on_rows(at, slots, times)
        behind = times < before
        block = _Block(rows=rows, slots=slots, times=times)
        if not behind.any():
            self._held[at].append(block)
            return None
        if not behind.all():
            self._held[at].append(block.pick(~behind))
        index = np.flatnonzero(behind)
        return Late(
            input=at,
            index=index,
            window=["event order"] * len(index),
            window_end=np.full(len(index), UNSET),
            frontier=before[index],
            used=np.zeros(len(index), dtype=np.bool_),
            reason=BEHIND,
        )

    def _pass(self, segment: Segment) -> None:
        batch = segment.watermarks
        slots = np.array([self.keys.slot(key) for key in batch.column("key").to_pylist()], np.int64)
        self.frontiers.grow(len(self.keys))
        times = batch.column("ts_event").cast(pa.int64()).to_numpy()
        self.frontiers.on_watermarks(segment.input, slots, times)

    def _release(self) -> Rows | None:
        smallest = self.frontiers.smallest(self._read)
        released: list[_Block | None] = []
        for at, blocks in enumerate(self._held):
            ready: list[_Block] = []
            kept: list[_Block] = []
            for block in blocks:
                mask = block.times < smallest[block.slots]
                if mask.all():
                    ready.append(block)
                elif mask.any():
                    ready.append(block.pick(mask))
                    kept.append(block.pick(~mask))
                else:
                    kept.append(block)
            self._held[at] = [self._join(kept)] if len(kept) > 32 else kept
            released.append(self._join(ready) if ready else None)
        if not any(released):
            return None
        return _merged(released)

    def _join(self, blocks: list[_Block]) -> _Block:
        return _Block(
            rows=InputRows(
                batch=join_batches([block.rows.batch for block in blocks]),
                partition=blocks[0].rows.partition,
                offset=np.concatenate([block.rows.offset for block in blocks]),
                row=np.concatenate([block.rows.row for block in blocks]),
            ),
            slots=np.concatenate([block.slots for block in blocks]),
            times=np.concatenate([block.times for block in blocks]),
        )

    def state(self) -> tuple[dict[str, object], dict[str, object]]:
        """The whole state as a JSON head and arrays, for a snapshot."""
        count = len(self.keys)
        arrays: dict[str, object] = {
            "frontier": self.frontiers.frontier[:, :count],
            "watermark": self.frontiers.watermark[:, :count],
            "forwarded": self.frontiers.forwarded[:count],
        }
        partitions: list[int] = []
        for at, blocks in enumerate(self._held):
            if not blocks:
                partitions.append(-1)
                continue
            block = self._join(blocks)
            partitions.append(block.rows.partition)
            arrays[f"held_{at}"] = np.frombuffer(encode(block.rows.batch), dtype=np.uint8)
            arrays[f"held_{at}_offset"] = block.rows.offset
            arrays[f"held_{at}_row"] = block.rows.row
        names = [declared.name for declared in self.flow.inputs]
        return {"keys": self.keys.keys, "inputs": names, "held": partitions}, arrays

    def restore(self, head: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Take the state of `state` over, input by input of the same name.

        An input that was not there then begins without a frontier; rows held of one that is no longer
        there are given up with it.
        """
        keys, names = head["keys"], head["inputs"]
        self.keys = KeySlots(keys, self.keys.maximum, _BOUND, _CURE)
        self.frontiers.grow(len(keys))
        self.frontiers.forwarded[: len(keys)] = arrays["forwarded"]
        for at, declared in enumerate(self.flow.inputs):
            self._held[at] = []
            if declared.name in names:
                then = names.index(declared.name)
                self.frontiers.frontier[at, : len(keys)] = arrays["frontier"][then]
                self.frontiers.watermark[at, : len(keys)] = arrays["watermark"][then]
                if head["held"][then] >= 0:
                    self._held[at] = [self._restored(at, then, head["held"][then], arrays)]

    def _restored(self, at: int, then: int, partition: int, arrays: dict[str, Any]) -> _Block:
        topic = self.flow.inputs[at].topic
        batch = decode(arrays[f"held_{then}"].tobytes(), topic.schema)
        return _Block(
            rows=InputRows(
                batch=batch,
                partition=partition,
                offset=arrays[f"held_{then}_offset"],
                row=arrays[f"held_{then}_row"],
            ),
            slots=self.keys.of(batch.column(topic.key)),
            times=batch.column(topic.event_time).cast(pa.int64()).to_numpy(),
        )


def _merged(released: list[_Block | None]) -> Rows:
    present = [(at, block) for at, block in enumerate(released) if block is not None]
    times = np.concatenate([block.times for _, block in present])
    input_index = np.concatenate(
        [np.full(len(block.times), at, dtype=np.int32) for at, block in present]
    )
    offset = np.concatenate([block.rows.offset for _, block in present])
    row = np.concatenate([block.rows.row for _, block in present])
    row_index = np.concatenate(
        [np.arange(len(block.times), dtype=np.int64) for _, block in present]
    )
    order = np.lexsort((row, offset, input_index, times))
    return Rows(
        inputs=tuple(None if block is None else block.rows for block in released),
        input_index=input_index[order],
        row_index=row_index[order],
    )
