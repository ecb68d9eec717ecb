"""A PostgreSQL server of the tests' own: Debian's package, on a free loopback port, by an unprivileged user."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.free_ports import free_ports

PASSWORD = "only of this test run"
_DEBIAN = Path("/usr/lib/postgresql")
_START_S = "60"


class PostgresqlError(RuntimeError):
    """There is no server to start, or it does not start."""


@contextmanager
def start_postgresql() -> Iterator[str]:
    """Run a server while the context lasts; yields ``127.0.0.1:PORT``. User and database are ``postgres``."""
    programs = _programs()
    user = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="tapeflow-postgresql-"))
    try:
        if user is not None:
            shutil.chown(folder, user)
        secret = folder / "password"
        secret.write_text(PASSWORD)
        if user is not None:
            shutil.chown(secret, user)

        def run(program: str, *arguments: str) -> None:
            done = subprocess.run(
                [programs / program, *arguments],
                user=user,
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise PostgresqlError(f"{program}: {done.stdout}{done.stderr}")

        data = str(folder / "data")
        run(
            "initdb",
            *("--pgdata", data, "--username", "postgres", "--pwfile", str(secret)),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--no-sync"),
        )
        (port,) = free_ports(1)
        options = (
            f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        )
        start = ("--pgdata", data, "--log", str(folder / "log"), "--options", options)
        run("pg_ctl", "start", "--wait", "--timeout", _START_S, *start)
        try:
            yield f"127.0.0.1:{port}"
        finally:
            run("pg_ctl", "stop", "--pgdata", data, "--mode", "fast")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    """Debian keeps the server's programs off the PATH."""
    found = sorted(_DEBIAN.glob("*/bin/postgres"))
    on_path = shutil.which("postgres")
    if on_path is not None:
        return Path(on_path).parent
    if not found:
        raise PostgresqlError("no PostgreSQL server: apt-get install postgresql")
    return found[-1].parent


def _unprivileged() -> str | None:
    """Who the server runs as: it refuses to be root's."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return "nobody"
