"""How programs that last use Python's garbage collector."""

import gc


def spare_what_is_loaded() -> None:
    """Spare it the modules, and what was made before: looking through them takes milliseconds, in mid-stream.

    Nor need it look at the young after every few hundred of them, which is a twentieth of what streams cost.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
