"""Where the store of a chDB folder listens, as ``store.json`` there says; without what a server needs."""

import http.client
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import unquote

import orjson

STORE_HEADER = "X-Tapeflow-Store"
_PING_S = 2.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a running store listens."""

    host: str
    port: int
    pid: int

    @property
    def url(self) -> str:
        """Its HTTP address."""
        return f"http://{self.host}:{self.port}"


def store_path(url: str) -> Path:
    """The folder that a ``chdb`` URL names: after three slashes relative, after four absolute."""
    return Path(unquote(url.removeprefix("chdb:///").partition("?")[0])).resolve()


def running_store(path: Path) -> Address | None:
    """The address of the store that serves this folder now, or None.

    A ``store.json`` left by a killed process is seen by nobody answering for the folder.
    """
    try:
        found = orjson.loads(_note(path).read_bytes())
        address = Address(host=found["host"], port=found["port"], pid=found["pid"])
    except (OSError, orjson.JSONDecodeError, KeyError):
        return None
    connection = http.client.HTTPConnection(address.host, address.port, timeout=_PING_S)
    try:
        connection.request("GET", "/ping")
        served = connection.getresponse().getheader(STORE_HEADER)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return address if served == str(path.resolve()) else None


def write_note(path: Path, address: Address) -> None:
    """Say where the folder's store listens; whoever reads it sees all of it or nothing."""
    note = _note(path)
    fresh = note.with_suffix(".json.new")
    fresh.write_bytes(orjson.dumps({**asdict(address), "url": address.url}))
    fresh.replace(note)


def remove_note(path: Path) -> None:
    """Say that the folder's store listens no more."""
    _note(path).unlink(missing_ok=True)


def _note(path: Path) -> Path:
    return path / "store.json"
