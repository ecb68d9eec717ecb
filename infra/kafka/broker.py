"""Starts a real one-node Apache Kafka (KRaft) on free loopback ports, with a temporary data folder.

For development, tests and benchmarks only: it is no deployment. `make kafka` runs it until Ctrl-C.
"""

import base64
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from infra.free_ports import free_ports
from infra.kafka.artifacts import BrokerError, classes_archive, java_command

_PROPERTIES = Path(__file__).resolve().parent / "server.properties"
# Up in 3 s on 2 idle cores; a busy machine that compiles and tests beside it needs patience.
_START_TIMEOUT_S = 90.0
_STOP_TIMEOUT_S = 20.0
# Ports are free when chosen, but another process may take one before the broker binds it.
_ATTEMPTS = 3

# Of all that a young broker does, half is compiling what it does: with the first compiler alone, a start, the topics
# of the registry and a first commit take 4 s of processor time in place of 8.
_QUICK = ("-XX:TieredStopAtLevel=1",)

_LOG = "broker.log"

# The shell's standard input is a pipe that we hold. When it closes, whichever way we end (kill -9
# included), the watcher ends the broker: no test run leaves one behind.
_GUARD = """
exec 3<&0
"$@" </dev/null &
broker=$!
{ cat <&3 >/dev/null; kill "$broker" 2>/dev/null; } &
wait "$broker"
"""


class _PortTakenError(Exception):
    """The broker ended before it listened; its log says that an address was in use."""


class Broker:
    """A broker with its data folder, which a fault test may stop for a while, kill and start again.

    Parameters
    ----------
    folder : pathlib.Path
        Empty; for properties, log and data.
    overlay : str
        Lines of ``server.properties`` that override ours.
    protocol : str
        Of the listener that clients use: ``PLAINTEXT`` or ``SASL_SSL``.
    users : mapping of str to str
        SCRAM-SHA-512 users with their passwords, made before the first start.
    lasting : bool
        Whether it is compiled for its rate over minutes, or for the seconds of a test.
    """

    def __init__(
        self,
        folder: Path,
        *,
        overlay: str = "",
        protocol: str = "PLAINTEXT",
        users: Mapping[str, str] | None = None,
        lasting: bool = False,
    ) -> None:
        self.folder = folder
        self._port, controller = free_ports(2)
        self.address = f"127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._lasting = lasting
        self._properties = folder / "server.properties"
        self._properties.write_text(
            _PROPERTIES.read_text()
            + f"log.dirs={self.data}\n"
            + f"listeners={protocol}://{self.address},CONTROLLER://127.0.0.1:{controller}\n"
            + f"advertised.listeners={protocol}://{self.address}\n"
            + f"controller.quorum.voters=1@127.0.0.1:{controller}\n"
            + overlay
        )
        _format(self._properties, folder / _LOG, users or {})

    @property
    def data(self) -> Path:
        """Folder of the partitions' segments."""
        return self.folder / "data"

    def start(self, leave_classes: Path | None = None) -> None:
        """Start it, anew or on the data that it has, and wait until it listens.

        Parameters
        ----------
        leave_classes : pathlib.Path, optional
            Where its classes are to be at its end.

        Raises
        ------
        BrokerError
            Where it does not start; with the end of its log.
        """
        command = [
            *(*java_command(leave_classes), "-Xms256m", "-Xmx768m", "-XX:+UseG1GC"),
            *(() if self._lasting else _QUICK),
            *("kafka.Kafka", str(self._properties)),
        ]
        self._process = _launched(command, self.folder / _LOG)
        try:
            _await_listening(self._process, self._port, self.folder)
        except BaseException:
            self.stop()
            raise

    def pause(self) -> None:
        """Stop it where it stands: it holds its connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, as kill -9 does; `start` brings it back."""
        self._signal(signal.SIGKILL)
        # Waits, and closes the pipe that its watcher held on to.
        self._running.communicate()
        self._process = None

    def stop(self, timeout_s: float = _STOP_TIMEOUT_S) -> None:
        """End it in order; one that takes longer is killed."""
        if self._process is not None:
            _stop(self._process, timeout_s)
            self._process = None

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise BrokerError("the broker does not run; start it first")
        return self._process

    def _signal(self, number: signal.Signals) -> None:
        # The group: the shell that guards it, and the broker.
        os.killpg(self._running.pid, number)


@contextmanager
def running_broker(
    *,
    overlay: str = "",
    protocol: str = "PLAINTEXT",
    users: Mapping[str, str] | None = None,
    lasting: bool = False,
) -> Iterator[Broker]:
    """Run a `Broker` while the context lasts, on ports that are free and in a temporary folder.

    Raises
    ------
    BrokerError
        Where Java or Maven is missing, or the broker does not start; with the end of its log.
    """
    _archive_classes()
    with _temporary_folder() as data:
        for attempt in range(1, _ATTEMPTS + 1):
            folder = data / str(attempt)
            folder.mkdir()
            broker = Broker(
                folder, overlay=overlay, protocol=protocol, users=users, lasting=lasting
            )
            try:
                broker.start()
            except _PortTakenError:
                if attempt == _ATTEMPTS:
                    raise BrokerError(
                        f"Kafka found its ports taken {_ATTEMPTS} times; its last words:\n"
                        f"{_log_tail(folder)}"
                    ) from None
                continue
            try:
                yield broker
            finally:
                broker.stop()
            return


@contextmanager
def start_broker(*, lasting: bool = False) -> Iterator[str]:
    """Run a plain broker while the context lasts; yields its address, ``127.0.0.1:port``."""
    with running_broker(lasting=lasting) as broker:
        yield broker.address


def main() -> None:
    """Run a broker until Ctrl-C (or SIGTERM) and say where it listens."""
    # SIGINT too: a shell has its background jobs ignore it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        with start_broker(lasting=True) as address:
            print(f"Kafka listens on {address}; the log URL is kafka://{address}", flush=True)  # noqa: T201
            print("Its data is temporary. Ctrl-C ends it.", flush=True)  # noqa: T201
            signal.pause()
    except BrokerError as error:
        sys.exit(f"kafka: {error}")
    except KeyboardInterrupt:
        return


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tapeflow-kafka-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@cache
def _archive_classes() -> None:
    """Have a first broker leave its classes on disk: those behind it start with 3 s of processor time in place of 7.

    Where it cannot, they start as it did.
    """
    archive = classes_archive()
    if archive.exists():
        return
    with _temporary_folder() as folder:
        # Two may do this at once; each file is whole when it gets its name.
        half = archive.with_suffix(f".{os.getpid()}")
        broker = Broker(folder)
        try:
            broker.start(leave_classes=half)
        except _PortTakenError:
            return
        broker.stop(_START_TIMEOUT_S)
        if half.exists():
            half.replace(archive)
            for older in archive.parent.glob("classes-*.jsa"):
                if older != archive:
                    older.unlink(missing_ok=True)


def _launched(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(  # noqa: S603 - our own command, no outside words in it
            ["/bin/sh", "-c", _GUARD, "kafka", *command],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            # Ctrl-C is for us; the broker is ended by closing its pipe.
            start_new_session=True,
        )


def _format(properties: Path, log: Path, users: Mapping[str, str]) -> None:
    cluster = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
    scram = [
        word
        for name, password in users.items()
        for word in ("--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]")
    ]
    with log.open("wb") as out:
        done = subprocess.run(  # noqa: S603 - our own command, no outside words in it
            [
                *(*java_command(), *_QUICK),
                # An identifier that begins with a dash would be read as an option: hence the =.
                *("kafka.tools.StorageTool", "format"),
                *(f"--cluster-id={cluster}", f"--config={properties}", *scram),
            ],
            stdout=out,
            stderr=out,
            timeout=_START_TIMEOUT_S,
            check=False,
        )
    if done.returncode:
        raise BrokerError(
            f"Kafka could not format its data folder:\n{_log_tail(properties.parent)}"
        )


def _await_listening(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            if "in use" in (folder / _LOG).read_text(errors="replace"):
                raise _PortTakenError
            raise BrokerError(
                f"Kafka ended with exit status {process.returncode}:\n{_log_tail(folder)}"
            )
        try:
            # The broker binds this port last, once the controller has taken it in.
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise BrokerError(f"Kafka did not listen within {_START_TIMEOUT_S} s:\n{_log_tail(folder)}")


def _stop(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        # Its data is temporary: nothing is lost by not waiting for a clean end.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _log_tail(folder: Path) -> str:
    return (folder / _LOG).read_text(errors="replace")[-3000:]
