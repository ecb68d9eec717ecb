"""Polars' own answer to Ctrl-C, which is none of a program's that has one."""

import signal
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def uninterrupted(work: Callable[[], T]) -> T:
    """What Polars computes, by a program that hears SIGINT itself.

    Where the signal comes in its midst, Polars raises KeyboardInterrupt in whichever thread it works, though the
    program's own handler is told, too: the work is done again, and the program ends as that handler has it.

    Raises
    ------
    KeyboardInterrupt
        Where the program has no handler of its own.
    """
    while True:
        try:
            return work()
        except KeyboardInterrupt:
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                raise
