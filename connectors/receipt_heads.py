"""Heads of the chain of receipts, kept outside of the log: one line a link in a file of another folder.

Whoever can write the log can write another chain into it; what was written elsewhere before tells the two apart.
"""

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from connectors.receipt_chain import Link

FILE = "receipt-heads.txt"
_LINE = re.compile(r"([1-9][0-9]*) ([0-9a-f]{64})")


class HeadsError(ValueError):
    """A folder of heads that cannot be used; the message says which, and what to do."""


def check_folder(folder: Path) -> None:
    """See that a folder is there.

    Raises
    ------
    HeadsError
        Where it is not: it is not made, for a disk that is not mounted would be written beside.
    """
    if not folder.is_dir():
        raise HeadsError(f"no folder {folder} for the heads of receipts: mount it, or make it")


def read_heads(folder: Path) -> dict[int, str]:
    """Number and hash of the links whose heads were written to a folder, in order; empty before the first.

    Raises
    ------
    HeadsError
        Where the folder is not there, or a line of its file is none.
    """
    check_folder(folder)
    path = folder / FILE
    if not path.exists():
        return {}
    heads: dict[int, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        found = _LINE.fullmatch(line)
        if found is None:
            raise HeadsError(
                f"{path}, line {number}: a number and a hash were needed, not {line[:80]!r}; if the line "
                "was cut by a crash, remove it: the next `receipt seal` writes it again"
            )
        at, head = int(found[1]), found[2]
        if heads.setdefault(at, head) != head:
            raise HeadsError(
                f"{path}, line {number}: link {at} has another head here than in a line before; one of the two "
                "was written by someone else: see which one `tapeflow receipt verify --head` knows"
            )
    return heads


def add_heads(folder: Path, newest: Link, links: Callable[[], Iterable[Link]]) -> None:
    """Write the heads that a folder does not have yet, on disk on return.

    Parameters
    ----------
    folder : Path
        Where.
    newest : Link
        The last link of the chain.
    links : callable
        Gives all links of the chain; asked only where more than the newest is to be written.

    Raises
    ------
    HeadsError
        Where the folder has the head of another chain, or cannot be written: its file is then as before.
    """
    known = read_heads(folder)
    if known.get(newest.number) == newest.hash:
        return
    fresh = {newest.number: newest.hash}
    if newest.number > 1 and known.get(newest.number - 1) != newest.previous:
        fresh = {one.number: one.hash for one in links()}
    for number, head in known.items():
        if (number in fresh and fresh[number] != head) or number > newest.number:
            raise HeadsError(
                f"{folder / FILE} has {head[:16]}… for link {number}, and the log's chain "
                f"{fresh.get(number, 'no such link')[:16]}: not the same chain; `tapeflow receipt verify`"
            )
    lines = "".join(f"{at} {head}\n" for at, head in fresh.items() if at not in known)
    try:
        _append(folder / FILE, lines.encode())
    except OSError as error:
        raise HeadsError(
            f"{folder / FILE} cannot be written: {error.strerror}; mend that: the link is in the log, and the next "
            "`receipt seal` writes its head"
        ) from error


def _append(path: Path, content: bytes) -> None:
    """Add to a file, on disk on return; a disk that has no room for all of it gets nothing."""
    with path.open("ab", buffering=0) as file:
        before = file.tell()
        try:
            while content:
                content = content[file.write(content) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(before)
            raise
