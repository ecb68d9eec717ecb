"""Audit and comparison of a log that retention cuts meanwhile: neither an error, nor rows that nobody has lost."""

from pathlib import Path

import pytest

from connectors.log import Chunk, Log
from flows.bars import Bars
from serving.audit import audit
from serving.replay import comparisons
from tests.serving.lived import lived
from tests.serving.proofs import land

_CUT = 4


@pytest.fixture
def log(sqlite_log: Log) -> Log:
    lived(sqlite_log, 1, kinds=(Bars,))
    return sqlite_log


def cut_at_read_of(
    monkeypatch: pytest.MonkeyPatch, log: Log, read: str, cut: tuple[str, ...]
) -> list[str]:
    """Cut topics at the first read of one, as `land` may at any moment; the list has what was cut."""
    whole, done = log.read, list[str]()

    def cutting(topic: str, partition: int, offset: int, *, max_bytes: int = 8 << 20) -> Chunk:
        if topic == read and not done:
            for name in cut:
                log.trim(name, 0, _CUT)
                done.append(name)
        return whole(topic, partition, offset, max_bytes=max_bytes)

    monkeypatch.setattr(log, "read", cutting)
    return done


@pytest.mark.parametrize(
    ("read", "cut"), [("trades", "late"), ("late", "late"), ("trades", "trades")]
)
def test_an_audit_outlasts_a_cut(
    log: Log, monkeypatch: pytest.MonkeyPatch, store_url: str, tmp_path: Path, read: str, cut: str
) -> None:
    land(log, store_url, tmp_path / "lake")
    done = cut_at_read_of(monkeypatch, log, read, (cut,))
    checks = audit(log, store_url, tmp_path / "lake")
    assert [one for one in checks if not one.ok] == []
    assert done == [cut]


@pytest.mark.parametrize(
    ("read", "cut"), [("trades", ("trades",)), ("bars", ("bars",)), ("late", ("bars", "trades"))]
)
def test_a_comparison_outlasts_a_cut(
    log: Log, monkeypatch: pytest.MonkeyPatch, read: str, cut: tuple[str, ...]
) -> None:
    done = cut_at_read_of(monkeypatch, log, read, cut)
    found = comparisons(log, ["bars"])
    assert [one for one in found if not one.identical] == []
    assert done == list(cut)
