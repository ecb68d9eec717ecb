"""A disk without room, for tests that may mount none: files of this process end at a size, in the midst of a write."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def room_of(size_bytes: int) -> Iterator[None]:
    """No file of this process grows beyond a size; a write that would is cut there, and the next one fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
