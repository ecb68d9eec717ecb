"""The audit log: who did what, when and from where, with what result; each row is chained to the one before."""

from dataclasses import replace

from schemas import order_fields as of
from schemas.topic import Kind, Landing, Partition, Topic

AUDIT_LOG = Topic(
    name="audit_log",
    version=1,
    kind=Kind.RAW,
    meaning="Something that somebody did at the door, or tried to.",
    fields=(
        of.word("actor", "User, or what was given as one."),
        replace(of.ENTRY_TIME, meaning="When, by the wall clock."),
        of.RECEIVED,
        of.number("sequence", "Of the whole log, from 1 on, without a gap."),
        of.word("action", "What, such as sign_in or order_new."),
        of.text(
            "subject",
            "On what: an order, an account, a user, a statement; null for none.",
            nullable=True,
        ),
        of.word("result", "How it ended.", allowed=("done", "refused", "failed")),
        of.text("reason", "Why it was refused or failed.", nullable=True),
        of.text("origin", "Address that the request came from.", nullable=True),
        of.text("device", "What the client calls itself.", nullable=True),
        of.CORRELATION_ID,
        of.text("previous_hash", "Hash of the row before, hexadecimal; 64 zeros in the first."),
        of.text(
            "hash",
            "SHA-256 of the row's other fields (but ts_recv) and previous_hash, hexadecimal.",
        ),
    ),
    key="actor",
    event_time="ts_event",
    identity=(),
    landing=Landing(order_by=("actor", "ts_event"), partition_by=Partition.MONTH),
    synced=True,
    watermarked=False,
    # One chain, one order.
    partitions=1,
)
