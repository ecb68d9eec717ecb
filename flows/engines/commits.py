"""Up to which commit of each shard a flow's rows are looked at: a flow may go on while it is audited."""

from collections.abc import Mapping

from connectors.log import Log, Record
from flows.engines.progress import last_progress
from flows.flow import Flow
from schemas.codec import HEADER_COMMIT, HEADER_FLOW, HEADER_SHARD


def is_later(log: Log, kind: type[Flow], record: Record, commits: Mapping[int, int]) -> bool:
    """Whether a flow wrote a record in a commit behind those that are looked at.

    Parameters
    ----------
    log : Log
        Asked for the shard's newest progress record: rows of a commit that no progress record tells of
        are no later ones but a fault, and stay in sight. Not so in a copy whose end may lie within a
        commit.
    kind : type of Flow
        The flow.
    record : Record
        Of one of its outputs, or of ``late``.
    commits : mapping of int to int
        Shard to the number of its last commit that is looked at.
    """
    by = (record.header(HEADER_FLOW) or b"").startswith(f"{kind.name}/".encode())
    shard, commit = record.header(HEADER_SHARD), record.header(HEADER_COMMIT)
    if not by or shard is None or commit is None:
        return False
    if int(commit) <= commits.get(int(shard), 0):
        return False
    if log.may_end_within_a_commit:
        return True
    last = last_progress(log, kind, int(shard))
    return last is not None and int(commit) <= last[1].number
