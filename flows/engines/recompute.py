"""Computes again what a shard has emitted, from the log alone: for replay, comparison and evidence."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from connectors.log import Log
from flows.engines.bounds import Start
from flows.engines.epochs import Epoch, epochs, segments_of
from flows.engines.held_limit import is_full
from flows.engines.parameters import recorded
from flows.engines.read_ahead import read_ahead
from flows.engines.reading import Reader
from flows.engines.segments import Segment
from flows.engines.stepper import Output, Stepper
from flows.flow import Flow, FlowError, Params


def recompute(
    log: Log,
    kind: type[Flow],
    shard: int,
    known: Sequence[Epoch] | None = None,
    start: Start | None = None,
) -> Iterator[tuple[Stepper, list[Output]]]:
    """What a shard gave from its first epoch to its last progress record, each epoch with its own parameters.

    Parameters
    ----------
    log : Log
        With the inputs and the progress records; nothing is written to it.
    kind : type of Flow
        The flow.
    shard : int
        Which shard.
    known : sequence of Epoch or None
        Its epochs, where they have been read already; None reads those that the log has now.
    start : Start or None
        Snapshot to begin from, at the beginning of the first of them (`flows.engines.origin` finds one where
        the log's beginning is cut away).

    Yields
    ------
    (Stepper, list of Emit and Passed)
        After each segment: the stepper (for its counts) and what the segment caused.

    Raises
    ------
    FlowError
        Where an epoch was computed by another version of the flow than is installed.
    """
    every = epochs(log, kind, shard) if known is None else known
    for step in computed(log, kind, shard, every, start):
        yield step.stepper, step.outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A segment computed again: its epoch's number and place, and what it caused."""

    stepper: Stepper
    epoch: int
    place: int
    segment: Segment
    outputs: list[Output]


def computed(
    log: Log, kind: type[Flow], shard: int, known: Sequence[Epoch], start: Start | None = None
) -> Iterator[Step]:
    """The same with the segments themselves; read and decoded ahead by another thread.

    Parameters
    ----------
    log, kind, shard
        As of `recompute`.
    known : sequence of Epoch
        Epochs and parts of epochs, one behind the other; a part that goes on has its epoch's number.
    start : Start or None
        Snapshot to begin from, at the beginning of the first of them.
    """
    stepper: Stepper | None = None
    reader: Reader | None = None
    number = 0
    if start is not None:
        stepper = Stepper(kind, recorded(kind, start.params), start.state)
        number = start.epoch
    for place, epoch in enumerate(known):
        if epoch.version != kind.version:
            raise FlowError(
                f"flow {kind.name!r} shard {shard}: epoch {epoch.number} was computed by version "
                f"{epoch.version}, and version {kind.version} is installed; install that version to replay it"
            )
        params = recorded(kind, epoch.params)
        if stepper is None:
            _refuse_to_forget(kind, shard, epoch)
            stepper = Stepper(kind, params)
            stepper.read_inputs(epoch.begin)
        elif epoch.number != number:
            stepper.begin_epoch(params, epoch.begin, carried=epoch.carried)
        number = epoch.number
        reader = reader or Reader(log, kind, shard, epoch.begin)
        with closing(read_ahead(segments_of(reader, epoch, is_full(stepper)))) as segments:
            for segment in segments:
                outputs = stepper.take(segment)
                yield Step(
                    stepper=stepper, epoch=number, place=place, segment=segment, outputs=outputs
                )


def _refuse_to_forget(kind: type[Flow], shard: int, epoch: Epoch) -> None:
    if epoch.carried and epoch.begin != epoch.end:
        raise FlowError(
            f"flow {kind.name!r} shard {shard}: epoch {epoch.number} began with the state of the one before, and "
            "is to be computed without it. This is a fault in the program: report it"
        )


def recompute_with(
    log: Log, kind: type[Flow], shard: int, params: Params
) -> Iterator[tuple[Stepper, list[Output]]]:
    """What a shard would give with these parameters, from the log's start to its present end."""
    stepper = Stepper(kind, params)
    reader = Reader(log, kind, shard)
    for segment in reader.read_to(reader.ends(), is_full(stepper)):
        yield stepper, stepper.take(segment)
