"""Files of what any process can make again, kept for the next one: many write and read them at once on one disk."""

import contextlib
import os
from functools import cache
from hashlib import sha256
from pathlib import Path


class KeptFiles:
    """One file for each key, named by it and by what it was made of: a name can lead to nothing else.

    A file that is damaged is as none. What cannot be kept (a full disk, a folder that is only for reading) is made again
    by the next process.

    Parameters
    ----------
    folder : pathlib.Path
        Where they lie; made where only it is missing.
    name : str
        What their names begin with, and no other's there.
    made_of : bytes
        Names all that they are made of beside their key: files that were made of something else are neither read nor
        kept.
    suffix : str
        What their names end with.
    """

    def __init__(self, folder: Path, name: str, *, made_of: bytes, suffix: str) -> None:
        self._folder, self._name, self._suffix = folder, name, suffix
        self._stamp = _short(made_of)

    def read(self, key: bytes) -> bytes | None:
        """What was kept for a key; None where nothing whole was."""
        try:
            file = self._file(key).read_bytes()
        except OSError:
            return None
        digest, content = file[: sha256().digest_size], file[sha256().digest_size :]
        return content if sha256(content).digest() == digest else None

    def write(self, key: bytes, content: bytes) -> None:
        """Keep something for a key, whole or not at all, and forget what was made of something else."""
        file = self._file(key)
        half = file.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError):
            self._folder.mkdir(exist_ok=True)
            half.write_bytes(sha256(content).digest() + content)
            half.replace(file)
            for other in self._all():
                if not other.name.startswith(f"{self._name}.{self._stamp}."):
                    other.unlink(missing_ok=True)

    def forget(self) -> None:
        """Remove all."""
        for file in self._all():
            file.unlink(missing_ok=True)

    def _all(self) -> list[Path]:
        return list(self._folder.glob(f"{self._name}.*"))

    def _file(self, key: bytes) -> Path:
        return self._folder / f"{self._name}.{self._stamp}.{_short(key)}.{self._suffix}"


@cache
def own_file(name: str) -> bytes:
    """What a source file has in it, as a hash."""
    return sha256(Path(name).read_bytes()).digest()


def _short(name: bytes) -> str:
    return sha256(name).hexdigest()[:16]
