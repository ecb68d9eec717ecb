"""What programs say of themselves, where it cannot be written."""

import json
import sys
from pathlib import Path

import pytest
import structlog

from serving.logs import configure_logs
from tests.full_disk import room_of


def test_a_program_whose_log_has_no_room_works_on_and_says_how_many_lines_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log of a program lies on the disk that is full: a line on that ended the lander's wait, and the audit's thread."""
    with (tmp_path / "program.log").open("w", buffering=1) as output:
        monkeypatch.setattr(sys, "stderr", output)
        configure_logs()
        logger = structlog.get_logger()
        try:
            logger.info("begun")
            with room_of(300):
                for number in range(500):
                    logger.warning("trying_again", number=number)
            logger.info("went_on")
        finally:
            structlog.reset_defaults()
    lines = (tmp_path / "program.log").read_text().splitlines()
    first, last = json.loads(lines[0]), json.loads(lines[-1])
    assert first["event"] == "begun"
    assert "lines_failed" not in first
    assert last["event"] == "went_on"
    assert 490 < last["lines_failed"] < 500


def test_another_failure_of_its_log_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def isatty(self) -> bool:
            return False

        def write(self, _: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    configure_logs()
    try:
        with pytest.raises(BrokenPipeError):
            structlog.get_logger().info("said")
    finally:
        structlog.reset_defaults()
