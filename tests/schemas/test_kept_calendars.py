"""Calendars kept on disk: what is read there is what exchange_calendars would make, or it is made again."""

import os
import subprocess
import sys
import zoneinfo
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from schemas import kept_calendars, opening_hours, sessions
from schemas.arrays import Int64s
from schemas.kept_calendars import kept

VALUES = np.array([1, -2, 0, 1 << 62], dtype=np.int64)
ZONE = "America/New_York"
READS = """
import sys
from schemas.opening_hours import hours_of_year
from schemas.sessions import session_starts
session_starts("XNYS")
hours_of_year("XNYS", 2023, margin_days=15)
print({"exchange_calendars", "pandas"} & set(sys.modules))
"""


class Maker:
    """Makes values of a calendar, and counts how often it had to."""

    def __init__(self, zone: str = ZONE) -> None:
        self.zone, self.calls = zone, 0

    def __call__(self) -> tuple[str, Int64s]:
        self.calls += 1
        return self.zone, VALUES.copy()


@pytest.fixture(autouse=True)
def another_process() -> Iterator[None]:
    """A process that knows nothing of what was read before; one of its own stays behind."""
    forget()
    yield
    forget()


def forget() -> None:
    kept_calendars._files.cache_clear()
    kept_calendars._rules.cache_clear()
    sessions._session_starts.cache_clear()


@pytest.fixture
def source(tmp_path: Path) -> str:
    (tmp_path / "made.py").write_text("1\n")
    (tmp_path / "__pycache__").mkdir()
    return str(tmp_path / "made.py")


def files(source: str) -> list[Path]:
    return sorted((Path(source).parent / "__pycache__").iterdir())


def test_what_is_kept_is_read_and_cannot_be_written_to(source: str) -> None:
    make = Maker()
    for _ in range(3):
        found = kept("XNYS", make, source)
        np.testing.assert_array_equal(found, VALUES)
        assert found.dtype == np.int64
        assert found.flags.aligned
        assert not found.flags.writeable
        forget()
    assert make.calls == 1
    assert len(files(source)) == 1


def test_calendars_do_not_meet(source: str) -> None:
    make = Maker()
    kept("XNYS", make, source)
    kept("XLON", make, source)
    assert make.calls == len(files(source)) == 2


@pytest.mark.parametrize("damage", ["cut", "turned", "of another", "empty"])
def test_a_broken_file_is_made_anew(source: str, damage: str) -> None:
    make = Maker()
    kept("XNYS", make, source)
    (file,) = files(source)
    whole = file.read_bytes()
    broken = {
        "cut": whole[:-9],
        "turned": whole[:-9] + b"\1" * 9,
        "of another": b"numba's",
        "empty": b"",
    }[damage]
    file.write_bytes(broken)
    forget()
    np.testing.assert_array_equal(kept("XNYS", make, source), VALUES)
    assert make.calls == 2
    assert file.read_bytes() == whole


@pytest.mark.parametrize("package", kept_calendars._MADE_WITH)
def test_another_version_makes_a_new_one_and_the_old_is_not_kept(
    source: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Maker()
    kept("XNYS", make, source)
    before = files(source)
    real = kept_calendars.version
    monkeypatch.setattr(
        kept_calendars,
        "version",
        lambda name: real(name) + (".post1" if name == package else ""),
    )
    forget()
    kept("XNYS", make, source)
    assert make.calls == 2
    assert len(files(source)) == 1
    assert files(source) != before


def test_another_source_makes_a_new_one(source: str) -> None:
    make = Maker()
    kept("XNYS", make, source)
    before = files(source)
    Path(source).write_text("2\n")
    forget()
    kept_calendars.own_file.cache_clear()
    kept("XNYS", make, source)
    assert make.calls == 2
    assert len(files(source)) == 1
    assert files(source) != before


def test_other_rules_of_its_time_zone_make_a_new_one(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system's update of its time zones has no version that could be asked for."""
    rules = tmp_path / "zones" / ZONE
    rules.parent.mkdir(parents=True)
    monkeypatch.setattr(zoneinfo, "TZPATH", (str(tmp_path / "none"), str(tmp_path / "zones")))
    make, elsewhere = Maker(), Maker("Asia/Tokyo")
    for calls, text in enumerate((None, b"TZif2 2026a", b"TZif2 2026b"), start=1):
        if text is not None:
            rules.write_bytes(text)
        for _ in range(2):
            forget()
            kept("XNYS", make, source)
            kept("XTKS", elsewhere, source)
            assert make.calls == calls
    assert elsewhere.calls == 1


def test_where_no_folder_can_be_written_it_is_made_each_time(source: str) -> None:
    folder = Path(source).parent / "__pycache__"
    folder.rmdir()
    folder.write_text("no folder")
    make = Maker()
    for calls in (1, 2):
        np.testing.assert_array_equal(kept("XNYS", make, source), VALUES)
        assert make.calls == calls
        forget()


def test_a_folder_that_is_not_there_is_made(source: str) -> None:
    (Path(source).parent / "__pycache__").rmdir()
    make = Maker()
    kept("XNYS", make, source)
    forget()
    kept("XNYS", make, source)
    assert make.calls == 1


@pytest.mark.parametrize("calendar", ["XNYS", "XLON", "XKRX", "XTKS", "XSHG"])
def test_a_kept_calendar_is_the_one_that_would_be_made(calendar: str) -> None:
    _, made = sessions._local_midnights(calendar)
    sessions.session_starts(calendar)
    forget()
    found = sessions.session_starts(calendar)
    np.testing.assert_array_equal(found, made)
    assert (found.dtype, found.flags.c_contiguous) == (made.dtype, True)
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 0
    _, hours = opening_hours._opening_hours(calendar, 19_400, 19_499)
    whole = opening_hours.hours_of_year(calendar, 2023, margin_days=15)
    forget()
    again = opening_hours.hours_of_year(calendar, 2023, margin_days=15)
    np.testing.assert_array_equal(whole, again)
    np.testing.assert_array_equal(again[(again[:, 0] >= 19_400) & (again[:, 0] <= 19_499)], hours)


def test_who_reads_a_kept_calendar_loads_neither_exchange_calendars_nor_pandas() -> None:
    """They take a program that is started again after a kill half a second of processor time."""
    sessions.session_starts("XNYS")
    opening_hours.hours_of_year("XNYS", 2023, margin_days=15)
    run = subprocess.run(
        [sys.executable, "-c", READS],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "set()"
