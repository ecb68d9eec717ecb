"""What a hub knows when it has started."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from connectors.landings import CLICKHOUSE, Done, LandingRecorder, Span
from connectors.log import Chunk, TruncatedError, open_log
from connectors.records import rows_record
from connectors.topics import create_topics
from serving.hub import hub as hubs
from serving.hub.hub import Hub
from tests.serving.api_streams.feeding import TOPIC, movements, until


@pytest.mark.parametrize(("landed", "known"), [(None, "12345"), (1, "2345"), (2, "345"), (5, "45")])
def test_of_an_account_all_is_known_that_clickhouse_cannot_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, landed: int | None, known: str
) -> None:
    """Behind a lander that was late, an account stood for ever as it did when it last landed."""
    monkeypatch.setattr(hubs, "_RECORDS_BACK", 2)

    async def started() -> list[str]:
        with open_log(f"sqlite:///{tmp_path / 'log.db'}") as log:
            create_topics(log, 1)
            log.append([rows_record(TOPIC, 0, movements([(name, int(name))])) for name in "12345"])
            if landed is not None:
                recorder = LandingRecorder(log)
                intent = recorder.intent(CLICKHOUSE, TOPIC.name, [Span(0, 0, landed)])
                recorder.record([], [intent])
                recorder.record([Done(intent, 1, landed)], [])
                recorder.close()
            hub = Hub(log, followed=(TOPIC.name,))
            await hub.start()
            try:
                return [one.group[0] for one in hub.view(TOPIC.name).entries()]
            finally:
                await hub.stop()

    assert "".join(asyncio.run(started())) == known


def test_a_topic_of_which_rows_were_trimmed_unread_is_whole_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ClickHouse was not asked for what the hub had never read."""

    async def trimmed() -> None:
        with open_log(f"sqlite:///{tmp_path / 'log.db'}") as log:
            create_topics(log, 1)
            hub = Hub(log, followed=(TOPIC.name,))
            await hub.start()
            assert hub.is_whole(TOPIC)
            read = log.read

            def overtaken(topic: str, *asked: Any, **how: Any) -> Chunk:
                if topic != TOPIC.name:
                    return read(topic, *asked, **how)
                monkeypatch.setattr(log, "read", read)
                raise TruncatedError("trimmed")

            monkeypatch.setattr(log, "read", overtaken)
            log.append([rows_record(TOPIC, 0, movements([("1", 1)]))])
            try:
                await until(lambda: not hub.is_whole(TOPIC))
            finally:
                await hub.stop()

    asyncio.run(trimmed())
