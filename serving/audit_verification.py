"""`tapeflow audit-log verify`: what of the audit log holds, and what does not."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TextIO

import orjson

from connectors.audit_log import NO_ROW, Head, verify_chain
from connectors.log import Log
from schemas.audit_log import AUDIT_LOG
from serving.settings import SettingsError

# A chain that was cut in many places is told by the first ones.
_TOLD_MAX = 20


def run_verification(log: Log, *, heads: Sequence[str], as_json: bool, out: TextIO) -> int:
    """Check the chain, and that it holds rows that were kept outside.

    Parameters
    ----------
    log : Log
        A log, or the lake read as one.
    heads : sequence of str
        ``NUMBER:HASH`` as printed by an earlier verification.
    as_json : bool
        Whether to print one JSON object.
    out : text file
        Where.

    Returns
    -------
    int
        Exit code: 1 where something does not hold.
    """
    wanted = [_head(text) for text in heads]
    rows: list[Head] = []
    faults = [] if AUDIT_LOG.name not in log.topics() else list(verify_chain(log, rows))
    known = {head.sequence: head.hash for head in rows}
    lost = [head for head in wanted if known.get(head.sequence) != head.hash]
    newest = rows[-1] if rows else Head(0, NO_ROW)
    holds = not faults and not lost
    if as_json:
        told = {
            "holds": holds,
            "rows": len(rows),
            "head": f"{newest.sequence}:{newest.hash}",
            "breaks": [asdict(fault) for fault in faults],
            "heads_lost": [f"{head.sequence}:{head.hash}" for head in lost],
        }
        out.write(orjson.dumps(told).decode() + "\n")
        return 0 if holds else 1
    out.writelines(
        f"audit_log[0] at offset {one.offset}, row {one.row} (number {one.sequence}): {one.why}\n"
        for one in faults[:_TOLD_MAX]
    )
    if len(faults) > _TOLD_MAX:
        out.write(f"… and {len(faults) - _TOLD_MAX} more breaks\n")
    out.writelines(
        f"row {head.sequence} with hash {head.hash} is not there: cut off, or replaced\n"
        for head in lost
    )
    verdict = "the chain holds" if holds else "THE CHAIN DOES NOT HOLD"
    out.write(f"{verdict}: {len(rows)} rows, head {newest.sequence}:{newest.hash}\n")
    return 0 if holds else 1


def _head(text: str) -> Head:
    number, _, digest = text.partition(":")
    if not number.isdecimal() or len(digest) != len(NO_ROW):
        raise SettingsError(
            f"--head {text!r}: NUMBER:HASH was needed, as `audit-log verify` prints it"
        )
    return Head(int(number), digest)
