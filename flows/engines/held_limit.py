"""What happens at the end of the log where an input holds too many rows to be read on: an error."""

from flows.engines.shard import Shard
from flows.flow import FlowError


def refuse_to_wait(shard: Shard) -> None:
    """Refuse to end, or to wait for ever, where rows of the log cannot be read for rows that are held.

    Parameters
    ----------
    shard : Shard
        One in order EVENT that has read what it can, of a log that gets no more rows.

    Raises
    ------
    FlowError
        Naming the inputs, their held rows and what would release them.
    """
    full = shard.waiting()
    unread = [
        f"{name} ({full[name]:,} rows held)"
        for (name, partition), offset in shard.positions().items()
        if name in full and offset < shard.log.end(name, partition)
    ]
    if unread:
        others = [one.name for one in shard.kind.inputs if one.name not in full]
        raise FlowError(
            f"{shard.name}: {' and '.join(unread)} cannot be read on: the held rows wait for rows or "
            f"watermark rows of their keys in {' or '.join(others) or 'each other'}, and the log has "
            "none; feed those first"
        )
