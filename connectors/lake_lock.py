"""One lander a lake: whoever writes a lake's files holds its lock, which the kernel frees when he dies.

The log's fence alone would not do here: a lander that was replaced learns so at its next record, and until then its
compaction could exchange a folder for one without the file that its successor has just put there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from connectors.file_lock import FileLock
from connectors.landing_faults import LandingError, lake_refuses

_NAME = ".lander.lock"


@contextmanager
def sole_lander(lake: Path) -> Iterator[None]:
    """Hold a lake while the context lasts.

    Parameters
    ----------
    lake : Path
        Folder of the lake; made where it is not there.

    Raises
    ------
    LandingError
        Where another process (or lander of this one) writes the lake, or the folder cannot be made.
    """
    try:
        lake.mkdir(parents=True, exist_ok=True)
        lock = FileLock(lake / _NAME)
    except OSError as error:
        raise lake_refuses("its folder", lake, error) from error
    try:
        if not lock.try_acquire():
            raise LandingError(
                f"lake {lake}: another copy of the lander writes it, and one is enough; this one ends before "
                "it has written anything. To replace that one, stop it first (`ps` shows it as `tapeflow "
                "land`); one that was killed holds nothing"
            )
        yield
    finally:
        lock.close()
