"""The audit trail: what is noted is written once, and refused where it could not be kept."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from connectors.audit_log import AuditEntry
from connectors.log import Log, LogError, NewRecord
from schemas.audit_log import AUDIT_LOG
from serving.api.audit import AuditTrail
from serving.api.problems import ApiError
from tests.serving.api.apps import running


def entry(number: int) -> AuditEntry:
    return AuditEntry(actor="a", ts_event=number, action="x", result="done")


class FailingLog:
    """A log whose writer fails for as long as it is told to."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.failing = threading.Event()
        self.failed = threading.Event()

    def writer(self, name: str) -> Any:
        writer = self._log.writer(name)
        commit = writer.commit

        def failing(records: list[NewRecord], number: int) -> list[int]:
            if self.failing.is_set():
                self.failed.set()
                raise LogError("away")
            return commit(records, number)

        writer.commit = failing
        return writer

    def last(self, topic: str, partition: int) -> Any:
        return self._log.last(topic, partition)


def test_what_nobody_waits_for_is_written_once_the_log_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.api.audit._RETRY_S", 0.01)

    async def work() -> None:
        async with running(tmp_path) as (app, client):
            log = app.state.api.log
            away = FailingLog(log)
            trail = AuditTrail(away)
            await trail.start()
            away.failing.set()
            trail.note(entry(1))
            trail.note(entry(2))
            with pytest.raises(LogError, match="away"):
                await trail.record(entry(3))
            assert trail.failing
            app.state.api.audit = trail
            assert (await client.get("/ready")).status_code == 503
            away.failing.clear()
            await trail.record(entry(4))
            assert (await client.get("/ready")).status_code == 200
            await trail.stop()
            rows = log.read(AUDIT_LOG.name, 0, 0).records
            assert sum(int(record.header("rows") or 0) for record in rows) == 3
            with pytest.raises(ApiError, match="nothing was done"):
                trail.note(entry(5))

    asyncio.run(work())


def test_the_trail_keeps_so_much_and_then_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.api.audit._WAITING_MAX", 10)

    async def work() -> None:
        async with running(tmp_path) as (app, _):
            away = FailingLog(app.state.api.log)
            away.failing.set()
            trail = AuditTrail(away)
            await trail.start()
            trail.note(entry(0))
            await asyncio.to_thread(away.failed.wait)
            # What is kept waits for the next attempt; so many more are taken.
            refused = [_refusal(trail, number) for number in range(50)]
            assert refused[0] is None
            assert [one.status for one in refused[20:] if one is not None] == [503] * 30
            await trail.stop()

    asyncio.run(work())


def _refusal(trail: AuditTrail, number: int) -> ApiError | None:
    try:
        trail.note(entry(number))
    except ApiError as error:
        return error
    return None
