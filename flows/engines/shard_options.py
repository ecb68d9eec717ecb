"""How a shard works: how much it reads at once, when it commits, when it takes a snapshot."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from connectors.log import NewRecord
from flows.engines.held_limit import HELD_ROWS
from flows.engines.lookups import LookUp
from flows.engines.progress import Progress


@dataclass(frozen=True, kw_only=True)
class ShardOptions:
    """How a shard works; none of it changes what it emits.

    Parameters
    ----------
    read_bytes : int
        Bound of one read of one input.
    commit_s : float
        Least time between two commits while rows keep coming; a shard that is behind takes its time.
    idle_commit_s : float
        After so long without outputs, progress is committed all the same.
    commit_rows : int
        With so many rows read and to be written since the last commit, commit at once.
    snapshot_rows : int
        After so many rows read, watermark rows among them, a snapshot is taken: a restart computes again
        no more than that, and what came while the one before was being appended.
    held_rows : int
        With so many rows of an input held (EVENT order), it is not read until others have caught up.
        Where that holds for all of them, none ever will: an error ends the shard.
    hold_more : bool
        Whether twice as many are held then instead: for a replay, which must come as far as live came.
    new_epoch : bool
        Whether another version or other parameters may begin a new epoch.
    forget_state : bool
        Whether that epoch begins empty even where the flow's state is to be carried (`flows.flow.Carried`).
    on_commit : callable or None
        Told of each commit, once the log has it: its progress and its records, for metrics.
    look_up : mapping of flow name to callable
        Who is asked for what a flow must know before it takes rows in (`flows.engines.lookups`).
    """

    read_bytes: int = 4 << 20
    commit_s: float = 0.0
    idle_commit_s: float = 0.1
    commit_rows: int = 1_000_000
    snapshot_rows: int = 1_000_000
    held_rows: int = HELD_ROWS
    hold_more: bool = False
    new_epoch: bool = False
    forget_state: bool = False
    on_commit: Callable[[Progress, Sequence[NewRecord]], None] | None = None
    look_up: Mapping[str, LookUp] = field(default_factory=dict)
