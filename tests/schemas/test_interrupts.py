"""Ctrl-C while Polars works: the program's own handler has the last word."""

import signal
import subprocess
import sys

_PROGRAM = """
import os, signal, threading, time
import numpy as np
from schemas.json_codec import encode_lines
from schemas.market import TRADES
from tests.conformity.workload import topic_rows

heard = []
if HAS_HANDLER:
    signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
batch = topic_rows(TRADES, np.random.default_rng(1), 20_000, 0)
wanted = encode_lines(TRADES, batch)

def interrupt():
    for _ in range(30):
        time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

thread = threading.Thread(target=interrupt, daemon=True)
thread.start()
while thread.is_alive():
    assert encode_lines(TRADES, batch) == wanted
assert heard, "no signal came"
print("ended")
"""


def _run(*, has_handler: bool) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"HAS_HANDLER = {has_handler}\n{_PROGRAM}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_program_that_hears_the_signal_itself_goes_on_until_it_ends() -> None:
    done = _run(has_handler=True)
    assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr


def test_a_program_without_a_handler_is_interrupted() -> None:
    done = _run(has_handler=False)
    assert done.returncode == -signal.SIGINT, done.stderr
    assert "KeyboardInterrupt" in done.stderr
