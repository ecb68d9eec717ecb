"""How a program is told to end: SIGINT, SIGTERM, or the end of the supervisor that started it."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

SUPERVISED = "TAPEFLOW_SUPERVISED"


def stop_event() -> threading.Event:
    """An event that is set when the process is to end; call it once, in the main thread.

    A second SIGINT or SIGTERM ends the process at once.
    """
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        del frame
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    watch_supervisor(stop.set)
    return stop


def is_supervised() -> bool:
    """Whether a supervisor has started this program, and looks after the others too."""
    return bool(os.environ.get(SUPERVISED))


def watch_supervisor(then: Callable[[], None]) -> None:
    """Call ``then`` when the supervisor that started this program has ended, however it did.

    A supervised program has a pipe to its supervisor as standard input: the pipe's end is the
    supervisor's. Elsewhere this does nothing.
    """
    if not is_supervised():
        return

    def watch() -> None:
        # Not through sys.stdin: a thread that waits in it stops the interpreter from shutting down.
        while os.read(0, 4096):
            pass
        then()

    threading.Thread(target=watch, name="watch-supervisor", daemon=True).start()
