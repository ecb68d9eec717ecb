"""Computes again what a shard has emitted, from the log alone: for replay, comparison and evidence."""

from collections.abc import Iterator, Sequence

from connectors.log import Log
from flows.engines.epochs import Epoch, epochs, segments_of
from flows.engines.reading import Reader
from flows.engines.stepper import Output, Stepper
from flows.flow import Flow, FlowError, Params


def recompute(
    log: Log, kind: type[Flow], shard: int, known: Sequence[Epoch] | None = None
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

    Yields
    ------
    (Stepper, list of Emit and Passed)
        After each segment: the stepper (for its counts) and what the segment caused.

    Raises
    ------
    FlowError
        Where an epoch was computed by another version of the flow than is installed.
    """
    stepper: Stepper | None = None
    reader: Reader | None = None
    for epoch in epochs(log, kind, shard) if known is None else known:
        if epoch.version != kind.version:
            raise FlowError(
                f"flow {kind.name!r} shard {shard}: epoch {epoch.number} was computed by version "
                f"{epoch.version}, and version {kind.version} is installed; install that version to replay it"
            )
        params = kind.params_type(**epoch.params)
        if stepper is None:
            stepper = Stepper(kind, params)
        else:
            stepper.begin_epoch(params)
        reader = reader or Reader(log, kind, shard, epoch.begin)
        for segment in segments_of(reader, epoch):
            yield stepper, stepper.take(segment)


def recompute_with(
    log: Log, kind: type[Flow], shard: int, params: Params
) -> Iterator[tuple[Stepper, list[Output]]]:
    """What a shard would give with these parameters, from the log's start to its present end."""
    stepper = Stepper(kind, params)
    reader = Reader(log, kind, shard)
    for segment in reader.read_to(reader.ends()):
        yield stepper, stepper.take(segment)
