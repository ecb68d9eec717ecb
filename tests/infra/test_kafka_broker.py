"""The broker that tests and `make kafka` start: had from Maven once, and never left behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.kafka import artifacts
from infra.kafka.artifacts import BrokerError, classes_archive, java, java_command, libraries

ROOT = Path(__file__).resolve().parents[2]


def listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.mark.kafka
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_make_kafka_says_where_it_listens_and_leaves_nothing_behind(
    kafka_broker: str, ending: signal.Signals
) -> None:
    """It is the process's end that ends the broker, so that not even kill -9 leaves one."""
    with subprocess.Popen(
        [sys.executable, "-m", "infra.kafka"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().rsplit("kafka://")[-1].strip()
        assert address != kafka_broker
        assert listens(address)
        process.send_signal(ending)
        assert process.wait(30) == (-ending if ending == signal.SIGKILL else 0)
    deadline = time.monotonic() + 30
    while listens(address) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not listens(address)


def test_a_machine_without_java_or_maven_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrokerError, match=r"no `java` on PATH.*apt-get install openjdk"):
        java()
    with pytest.raises(BrokerError, match=r"no `mvn` on PATH.*apt-get install maven"):
        libraries(tmp_path / "libs")


@pytest.mark.kafka
def test_archives_that_are_there_need_no_maven(
    kafka_broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = libraries()
    monkeypatch.setenv("PATH", "")
    assert libraries() == folder
    assert list(folder.glob("kafka_2.13-*.jar"))


@pytest.mark.kafka
def test_kafkas_programs_take_their_classes_from_what_a_first_broker_left(
    kafka_broker: str,
) -> None:
    assert classes_archive().is_file()
    told = subprocess.run(
        [*java_command(), "-Xlog:class+load", "kafka.tools.StorageTool", "random-uuid"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    # The top of two archives is ours; the JVM has one of its own.
    assert re.search(r"org\.apache\.kafka\.\S+ source: shared objects file \(top\)", told), told


def test_a_changed_pom_is_resolved_again_and_a_failure_shows_mavens_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pom = tmp_path / "pom.xml"
    pom.write_text("no pom at all")
    monkeypatch.setattr(artifacts, "_POM", pom)
    maven = tmp_path / "mvn"
    maven.write_text("#!/bin/sh\necho the words of Maven\nexit 1\n")
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(BrokerError, match=r"(?s)exit status 1.*the words of Maven"):
        libraries(tmp_path / "libs")
    assert not (tmp_path / "libs").exists()


def test_no_repository_address_is_committed() -> None:
    pom = (ROOT / "infra" / "kafka" / "pom.xml").read_text()
    assert "<repository>" not in pom
    assert "<pluginRepository>" not in pom
