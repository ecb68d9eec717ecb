"""The broker's Java archives: resolved once by Maven from `pom.xml`, then used again."""

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_POM = _HERE / "pom.xml"
# A slow mirror may need minutes for 54 MB; more than this is a hang.
_MAVEN_TIMEOUT_S = 600


class BrokerError(RuntimeError):
    """The broker cannot be had here; the message says what is missing and how to get it."""


def java() -> str:
    """Path of the Java launcher.

    Raises
    ------
    BrokerError
        Where there is none.
    """
    return _program("java", "Java 17 or newer; on Debian: apt-get install openjdk-17-jre-headless")


def libraries(folder: Path = _HERE / "libs") -> Path:
    """The folder of the broker's archives, filled by Maven where it does not fit `pom.xml` yet.

    Parameters
    ----------
    folder : pathlib.Path
        Where the archives lie; git ignores it.

    Raises
    ------
    BrokerError
        Where Maven is missing or cannot resolve the artifacts.
    """
    stamp = folder / ".complete"
    wanted = hashlib.sha256(_POM.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return folder
    maven = _program("mvn", "Maven 3; on Debian: apt-get install maven")
    # Into a folder of its own first: a second test run at the same time must not see half of it.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".libs-") as fresh:
        _copy_dependencies(maven, Path(fresh) / "libs")
        (Path(fresh) / "libs" / ".complete").write_text(wanted)
        shutil.rmtree(folder, ignore_errors=True)
        (Path(fresh) / "libs").rename(folder)
    return folder


def classes_archive() -> Path:
    """File of Kafka's classes as this JVM has them in memory (class data sharing), if a broker has left it.

    The name follows from the JVM and the jars, where they lie: it takes no archive of others, and says no word.
    """
    folder = libraries().resolve()
    files = [Path(java()).resolve(), *sorted(folder.glob("*.jar"))]
    made = [(str(file), file.stat().st_mtime_ns) for file in files]
    return folder / f"classes-{hashlib.sha256(repr(made).encode()).hexdigest()[:16]}.jsa"


def java_command(leave: Path | None = None) -> list[str]:
    """Begin of a command line that runs one of Kafka's programs.

    Parameters
    ----------
    leave : pathlib.Path, optional
        Where it leaves its classes at its end; without, it takes those of the archive, if that is there.
    """
    shared = (
        f"-XX:SharedArchiveFile={classes_archive()}"
        if leave is None
        else f"-XX:ArchiveClassesAtExit={leave}"
    )
    return [java(), shared, "-cp", f"{libraries()}/*"]


def _copy_dependencies(maven: str, folder: Path) -> None:
    command = [maven, "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies"]
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command on our own pom.xml
            [*command, f"-DoutputDirectory={folder}"],
            capture_output=True,
            text=True,
            timeout=_MAVEN_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BrokerError(
            f"Maven did not resolve {_POM} in {_MAVEN_TIMEOUT_S} s; is its repository reachable?"
        ) from error
    if done.returncode:
        raise BrokerError(
            f"Maven could not resolve the artifacts of {_POM} (exit status {done.returncode}); "
            f"run `{' '.join(command)}` to see it. It said:\n{(done.stdout + done.stderr)[-2000:]}"
        )


def _program(name: str, need: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise BrokerError(f"no `{name}` on PATH, and the Kafka broker needs it: install {need}")
    return path
