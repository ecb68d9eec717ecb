"""Crash points: a process dies where it was told to, at that pass, and nowhere else."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from connectors import crash_points
from connectors.crash_points import CRASH_AT, POINTS, CrashPointError

ROOT = Path(__file__).resolve().parents[2]
# Those whose name is put together from the sink's.
_OF_SINKS = {
    f"{sink}: {what}" for sink in ("clickhouse", "lake") for what in ("intents recorded", "written")
}
_PROGRAM = """
from connectors.crash_points import crash_point
for at in range(5):
    print(at, flush=True)
    crash_point("feed: committed")
    crash_point("feed: before commit")
"""


def run(crash_at: str | None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != CRASH_AT}
    if crash_at is not None:
        environment[CRASH_AT] = crash_at
    return subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )


def test_a_process_kills_itself_at_the_nth_pass_of_the_point_it_was_told() -> None:
    done = run("feed: committed:3")
    assert done.returncode == -9
    assert done.stdout.split() == ["0", "1", "2"]


def test_without_a_point_and_with_one_that_is_not_passed_nothing_dies() -> None:
    for crash_at in (None, "feed: committed:6", "clock: committed:1"):
        done = run(crash_at)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    "text", ["feed: comitted:1", "feed: committed", "feed: committed:0", "feed: committed:x", ""]
)
def test_a_point_that_there_is_not_ends_the_process_with_the_list_of_points(text: str) -> None:
    done = run(text)
    assert done.returncode == 1
    assert "CrashPointError" in done.stderr
    assert "feed: before commit" in done.stderr or POINTS[0] in done.stderr


def test_every_point_is_passed_somewhere_and_no_other() -> None:
    text = "".join(
        path.read_text()
        for folder in ("connectors", "flows", "serving")
        for path in (ROOT / folder).rglob("*.py")
    )
    passed = set(re.findall(r'crash_point\("([^"]+)"\)', text)) | _OF_SINKS
    assert passed == set(POINTS)


def test_a_test_may_have_something_else_done_at_a_point() -> None:
    crashes: list[str] = []
    crash_points.arm("clock: committed", 2, lambda: crashes.append("here"))
    try:
        for _ in range(4):
            crash_points.crash_point("clock: committed")
    finally:
        crash_points.disarm()
    assert crashes == ["here"]
    with pytest.raises(CrashPointError, match="clock: committed"):
        crash_points.arm("clock: commited", 1)
