"""From where to where a replay is compared, and the state that it may begin at."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from flows.engines.progress import Positions

# Log topic and partition (None: all of them) to an offset.
Offsets = Mapping[tuple[str, int | None], int]


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """From where to where is compared; all of it by default.

    Parameters
    ----------
    from_ns, to_ns : int or None
        Event time of the rows that are compared, ns since 1970 UTC: from (inclusive) and to (exclusive).
    from_offsets, to_offsets : mapping of (log topic, partition or None) to offset
        Input positions: what the shard had read before, and up to where. Topics that a flow does not
        read do not bound it.
    cold : bool
        Whether everything before is computed from the log's start even where a snapshot leads up to offsets.
    """

    from_ns: int | None = None
    to_ns: int | None = None
    from_offsets: Offsets = field(default_factory=dict)
    to_offsets: Offsets = field(default_factory=dict)
    cold: bool = False


ALL = Bounds()


@dataclass(frozen=True, kw_only=True)
class Start:
    """A kept snapshot to begin at.

    Parameters
    ----------
    epoch, number : int, int
        Epoch and commit that the state belongs to.
    params : dict
        Parameters of that epoch.
    positions : dict of topic to dict of partition to offset
        Where to read on.
    state : bytes
        The state.
    """

    epoch: int
    number: int
    params: dict[str, object]
    positions: Positions
    state: bytes
