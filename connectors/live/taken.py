"""What a message parser took (`connectors.feeds.messages`), as the live client wants it."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from connectors.feeds.messages import Taken, TopicRows
from connectors.live.adapter import Bad, Message, Noticed, Parsed
from schemas.arrays import Int64s
from schemas.field import RECEIVE_TIME, TIMESTAMP


def parsed_from(taken: Taken, messages: Sequence[Message], recv_ns: Int64s) -> Parsed:
    """Rows with their receive times, bad messages, and what was noticed.

    Parameters
    ----------
    taken : Taken
        What the parser gave.
    messages : sequence of Message
        What it was given.
    recv_ns : numpy.ndarray of int64, shape (messages,)
        Their receive times.
    """
    parsed = Parsed(
        bad=[Bad(messages[at].number, why, messages[at].payload) for at, why in taken.faults],
        noticed=[
            Noticed(
                kind=notice.kind,
                ts_ns=messages[notice.at].recv_ns,
                stream=notice.stream,
                symbol=notice.symbol,
                expected=notice.expected,
                found=notice.found,
                detail=notice.detail,
            )
            for notice in taken.notices
        ],
    )
    for group in taken.groups:
        batch, at = _accepted(group, messages, parsed.bad)
        received = pa.array(recv_ns[at]).view(TIMESTAMP)
        place = batch.schema.get_field_index(RECEIVE_TIME)
        batch = batch.set_column(place, batch.schema.field(place), received)
        numbers = np.array([messages[index].number for index in at.tolist()], np.int64)
        parsed.groups.append((group.topic, batch, numbers))
    for reason, skipped in taken.skipped.items():
        if len(skipped):
            parsed.noticed.append(
                Noticed(
                    kind="skipped",
                    ts_ns=messages[int(skipped[-1])].recv_ns,
                    detail=f"{len(skipped)} messages: {reason}",
                )
            )
    return parsed


def _accepted(
    group: TopicRows, messages: Sequence[Message], bad: list[Bad]
) -> tuple[pa.RecordBatch, Int64s]:
    """The rows that the format itself does not refuse, and their messages; the others are bad."""
    keep = np.ones(group.rows.batch.num_rows, np.bool_)
    for reason, rows in group.rows.refused.items():
        bad += [
            Bad(messages[at].number, reason, messages[at].payload)
            for at in group.at[rows & keep].tolist()
        ]
        keep &= ~rows
    if keep.all():
        return group.rows.batch, group.at
    return group.rows.batch.filter(pa.array(keep)), group.at[keep]
