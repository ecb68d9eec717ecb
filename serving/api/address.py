"""Where a running API listens: a note in the home, ``api.json``, for whoever starts it or asks for it."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import orjson
import psutil


class ApiServerError(RuntimeError):
    """The API cannot be served; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class ApiAddress:
    """Where a running API listens, and its process with the time of its start (numbers of processes come again)."""

    url: str
    pid: int
    started_s: float

    @classmethod
    def of_this_process(cls, url: str) -> Self:
        """Of the process that asks."""
        process = psutil.Process()
        return cls(url, process.pid, process.create_time())


def running_api(home: Path) -> ApiAddress | None:
    """Where the API of a home listens now, or None.

    A note that a killed process left behind is known by its process being gone.
    """
    try:
        found = orjson.loads(_note(home).read_bytes())
        address = ApiAddress(**found)
        runs = psutil.Process(address.pid).create_time() == address.started_s
    except (OSError, orjson.JSONDecodeError, TypeError, psutil.Error):
        return None
    return address if runs else None


def write_note(home: Path, address: ApiAddress) -> None:
    """Say where it listens; whole or not at all."""
    note = _note(home)
    fresh = note.with_suffix(f".{address.pid}")
    fresh.write_bytes(orjson.dumps(asdict(address)))
    fresh.replace(note)


def remove_note(home: Path, address: ApiAddress) -> None:
    """Take the note back, if it is still ours."""
    if running_api(home) == address:
        _note(home).unlink(missing_ok=True)


def _note(home: Path) -> Path:
    return home / "api.json"
