"""An embedded store in a process of its own, as `tapeflow store` is."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PROGRAM = (
    "import sys; from pathlib import Path; from connectors.chdb_server import serve; "
    "serve(Path(sys.argv[1]), ready=lambda address: print(address.url, flush=True))"
)


@contextmanager
def store_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Serve a store's folder; ready when the context begins, ended by SIGTERM at its end."""
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("http://")
            yield process
        finally:
            process.terminate()
            process.wait()
