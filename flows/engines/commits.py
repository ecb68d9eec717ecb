"""Which commits of a flow's shards are looked at: a flow may go on meanwhile, and its beginning be cut."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from connectors.log import Log, Record
from flows.engines.progress import last_progress
from flows.flow import Flow
from schemas.codec import HEADER_COMMIT, HEADER_FLOW, HEADER_SHARD


@dataclass(frozen=True, kw_only=True)
class Commits:
    """The commits behind one and up to another of each shard of a flow.

    Parameters
    ----------
    log : Log
        Asked for a shard's newest progress record: rows of a commit that no progress record tells of are
        no later ones but a fault, and stay in sight. Not so in a copy whose end may lie within a commit.
    kind : type of Flow
        The flow.
    upto : mapping of int to int
        Shard to the number of its last commit that is looked at.
    after : mapping of int to int
        Shard to the number of the commit behind which one looks; from the first on where it is missing.
    """

    log: Log
    kind: type[Flow]
    upto: Mapping[int, int]
    after: Mapping[int, int] = field(default_factory=dict)
    _told: dict[int, int] = field(default_factory=dict, init=False, repr=False)

    def has(self, record: Record) -> bool:
        """Whether a record of one of the flow's outputs is looked at; others' records are."""
        by = (record.header(HEADER_FLOW) or b"").startswith(f"{self.kind.name}/".encode())
        text, commit = record.header(HEADER_SHARD), record.header(HEADER_COMMIT)
        if not by or text is None or commit is None:
            return True
        shard, number = int(text), int(commit)
        if number <= self.upto.get(shard, 0):
            return number > self.after.get(shard, 0)
        return not (self.log.may_end_within_a_commit or self._is_told(shard, number))

    def _is_told(self, shard: int, number: int) -> bool:
        """Whether a progress record tells of a commit; the newest is asked for where the known one does not."""
        if number > self._told.get(shard, 0):
            last = last_progress(self.log, self.kind, shard)
            self._told[shard] = 0 if last is None else last[1].number
        return number <= self._told[shard]
