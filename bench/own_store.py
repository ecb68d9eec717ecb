"""An embedded store in a process of its own, as the platform's programs and analysts meet it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SERVE = (
    "import sys; from pathlib import Path; from connectors.chdb_server import serve; "
    "serve(Path(sys.argv[1]), ready=lambda address: print(address.url, flush=True))"
)


@contextmanager
def own_store(folder: Path) -> Iterator[str]:
    """Serve a new store in a folder for as long as the context lasts; its URL."""
    path = folder / "store"
    with subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield f"chdb:///{path}"
        finally:
            process.terminate()
