"""How programs use Python's garbage collector."""

import gc


def look_seldom() -> None:
    """Look at the young after tens of thousands of them: among modules that are loaded there is no garbage.

    After every few hundred, as Python has it, that is up to a tenth of a program's start, and a twentieth of what streams cost.
    """
    gc.set_threshold(50_000, 20, 100)


def spare_what_is_loaded() -> None:
    """Spare the collector the modules, and what was made before: looking through them takes milliseconds, in mid-stream."""
    gc.freeze()
    look_seldom()
