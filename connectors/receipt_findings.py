"""What a verification of the chain of receipts has found."""

from dataclasses import dataclass, field

from connectors.receipt_chain import NO_LINK


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that does not hold.

    Parameters
    ----------
    link : int
        Which link speaks of it, counted from 1; 0 where none does.
    topic : str
        Of the range; empty where the link itself is broken.
    partition, start, end : int or None
        The range.
    what : str
        What was needed and what was found.
    """

    link: int
    topic: str = ""
    partition: int | None = None
    start: int | None = None
    end: int | None = None
    what: str

    def __str__(self) -> str:
        """One line."""
        link = f"link {self.link}" if self.link else "the chain"
        if self.partition is None:
            return f"{link}: {self.what}"
        place = f"{self.topic}[{self.partition}] offsets {self.start} to {self.end}"
        return f"{link}, {place}: {self.what}"


@dataclass(kw_only=True)
class Verified:
    """What `verify` found.

    Parameters
    ----------
    links : int
        Links of the chain.
    head : str
        Hash of the last one; `NO_LINK` without any.
    ranges, rows : int
        Ranges counted again, and the rows in them.
    problems : list of Problem
        What does not hold, in order of link.
    notes : list of Problem
        What cannot be counted again, and why: cut by retention, never sealed, sealed again.
    uncounted : int
        Ranges that were cut by retention and so not counted again.
    unsealed : int
        Offsets behind the last link.
    """

    links: int = 0
    head: str = NO_LINK
    ranges: int = 0
    rows: int = 0
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
    uncounted: int = 0
    unsealed: int = 0

    @property
    def ok(self) -> bool:
        """Whether all holds that could be counted."""
        return not self.problems
