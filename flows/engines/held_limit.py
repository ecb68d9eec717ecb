"""Where too many rows of an input are held (order EVENT): it is said, and what cannot go on ends.

An input with `ShardOptions.held_rows` held rows is paused: it is not read on until rows or watermark rows
of other inputs have released some. Progress records name paused inputs, so `tapeflow topics` shows them.
"""

from collections.abc import Callable, Collection, Mapping

import structlog

from flows.engines.stepper import Stepper
from flows.flow import FlowError

log_line = structlog.get_logger(__name__)

HELD_ROWS = 1_000_000


def is_full(stepper: Stepper) -> Callable[[int], bool]:
    """Tells of an input whether so many of its rows are held that others should be read before it."""
    return lambda at: stepper.held(at) >= HELD_ROWS


class PauseLog:
    """Says in the program's log when an input is paused and when it is read on.

    Parameters
    ----------
    name : str
        Of the shard, such as ``bars/0``.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._paused: frozenset[str] = frozenset()

    def tell(self, stepper: Stepper, paused: Mapping[str, int]) -> None:
        """Say what has changed; ``paused`` has the held rows of each paused input."""
        for name in sorted(paused.keys() - self._paused):
            log_line.warning(
                "input_paused",
                shard=self._name,
                input=name,
                held=paused[name],
                waits_for=waits_for(stepper, name),
            )
        for name in sorted(self._paused - paused.keys()):
            log_line.info("input_resumed", shard=self._name, input=name)
        self._paused = frozenset(paused)


def refuse_deadlock(name: str, stepper: Stepper, paused: Mapping[str, int]) -> None:
    """Refuse to wait where every input is paused: none of them can release the others' rows.

    Raises
    ------
    FlowError
        Naming the inputs, the keys whose rows they hold and what these wait for.
    """
    if paused and len(paused) == len(stepper.kind.inputs):
        held = "; ".join(f"{one} holds {waits_for(stepper, one)}" for one in paused)
        raise FlowError(
            f"{name}: every input is paused, so none can come on: {held}. The inputs have their keys in "
            "different order, by more rows than may be held: raise the setting held_rows (now "
            f"{min(paused.values()):,} or less) and start it again; it goes on from its last commit"
        )


def refuse_to_wait(
    name: str, stepper: Stepper, paused: Mapping[str, int], unread: Collection[str]
) -> None:
    """Refuse to end where paused inputs have rows left, of a log that gets no more rows.

    Parameters
    ----------
    name : str
        Of the shard.
    stepper : Stepper
        It has been given what could be read.
    paused : mapping of str to int
        Inputs that are not read on, with their held rows.
    unread : collection of str
        Inputs of which the log has more.

    Raises
    ------
    FlowError
        Naming the inputs, their held rows and what would release them.
    """
    full = [f"{one} ({rows:,} rows held)" for one, rows in paused.items() if one in unread]
    if full:
        others = [one.name for one in stepper.kind.inputs if one.name not in paused]
        raise FlowError(
            f"{name}: {' and '.join(full)} cannot be read on: the held rows wait for rows or "
            f"watermark rows of their keys in {' or '.join(others) or 'each other'}, and the log has "
            "none; feed those first, or raise the setting held_rows"
        )


def waits_for(stepper: Stepper, name: str) -> str:
    """Which keys of an input have the most held rows, and which inputs these wait for."""
    at = [one.name for one in stepper.kind.inputs].index(name)
    if stepper.order is None:
        return ""
    return ", ".join(str(one) for one in stepper.order.waits_for(at))
