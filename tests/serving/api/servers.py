"""`tapeflow serve` in a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from serving.api.address import running_api
from serving.settings import PREFIX

# On a machine that runs all tests at once, coming up takes minutes.
_START_S = 900.0


@dataclass
class Server:
    """A running server.

    Parameters
    ----------
    url : str
        Where it listens.
    process : Popen
        It.
    out, err : Path
        What it prints.
    """

    url: str
    process: "subprocess.Popen[bytes]"
    out: Path
    err: Path


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of a program on a home, with a free port."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    own = {"TAPEFLOW_HOME": str(home), "TAPEFLOW_API_PORT": "0", "TAPEFLOW_CONFIG": ""}
    return {**kept, **own, **more}


def tapeflow(home: Path, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """`tapeflow` on a home, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "serving.cli", *arguments],
        env=environment(home, **more),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def server(home: Path, **more: str) -> Iterator[Server]:
    """Serve a home; ready when the context begins, ended by SIGTERM at its end if it still runs."""
    home.mkdir(exist_ok=True)
    out, err = home / "serve.out", home / "serve.err"
    with out.open("wb") as told, err.open("wb") as logged:
        process = subprocess.Popen(
            [sys.executable, "-m", "serving.cli", "serve"],
            env=environment(home, **more),
            stdout=told,
            stderr=logged,
        )
    try:
        deadline_s = time.monotonic() + _START_S
        while (address := running_api(home)) is None or address.pid != process.pid:
            assert process.poll() is None, err.read_text()
            assert time.monotonic() < deadline_s, err.read_text()
            time.sleep(0.05)
        yield Server(address.url, process, out, err)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait()
