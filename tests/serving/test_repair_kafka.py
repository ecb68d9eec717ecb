"""A Kafka broker that comes back without its newest records: found out, told, and mended as far as Kafka can."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.control import control_record, progress_topic
from connectors.lander import Lander
from connectors.landing_audit import landing_checks
from connectors.landing_loss import LostTailError
from connectors.log import LogError, open_log
from connectors.log_loss import stored_beyond
from connectors.topics import create_topics
from flows.bars import Bars
from flows.engines.local import run_until_end
from flows.engines.progress import last_progress
from infra.kafka.artifacts import BrokerError
from infra.kafka.broker import Broker, running_broker
from serving.repair import repair
from serving.settings import Settings
from tests.conftest import skip_or_fail
from tests.connectors.landing_rows import append_trades
from tests.stores import store_process

pytestmark = pytest.mark.kafka


@pytest.fixture
def broker() -> Iterator[Broker]:
    with ExitStack() as stack:
        try:
            started = stack.enter_context(running_broker())
        except BrokerError as error:
            skip_or_fail("kafka", str(error))
        yield started


def lose_the_end(broker: Broker, place: str) -> None:
    """Kill the broker, cut the last third off a partition's newest segment, and start it again."""
    broker.kill()
    folder = broker.data / place
    segment = max(folder.glob("*.log"))
    with segment.open("r+b") as file:
        file.truncate(segment.stat().st_size * 2 // 3)
    for index in folder.glob("*index"):
        index.unlink()
    broker.start()
    deadline = time.monotonic() + 90
    while True:
        # It looks through its logs before it answers.
        try:
            open_log(f"kafka://{broker.address}").close()
        except LogError:
            assert time.monotonic() < deadline
            continue
        return


def land(settings: Settings) -> None:
    with (
        open_log(settings.log) as log,
        Lander(log, settings.store, settings.lake_path) as lander,
    ):
        lander.run_until_end()


@pytest.mark.timeout(400)  # a killed broker looks through its logs: 5 s on an idle machine
def test_a_broker_that_lost_its_end_is_found_out_and_the_sinks_are_mended(
    broker: Broker, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path, log=f"kafka://{broker.address}")
    with store_process(tmp_path / "store"):
        with open_log(settings.log) as log:
            create_topics(log, 1)
            append_trades(log, 1, 30)
            before = log.end("trades", 0)
        land(settings)
        lose_the_end(broker, "trades-0")
        with open_log(settings.log) as log:
            assert 0 < log.end("trades", 0) < before
        with pytest.raises(LostTailError, match="has lost its newest records"):
            land(settings)
        told: list[str] = []
        assert repair(settings, yes=False, tell=told.append)
        assert any("the lander (clickhouse) stands at offset" in line for line in told)
        assert told[-1] == "nothing was changed: --yes does it"
        assert repair(settings, yes=True, tell=told.append)
        with open_log(settings.log) as log:
            append_trades(log, 2, 30)
        land(settings)
        with open_log(settings.log) as log:
            checks = landing_checks(log, settings.store, settings.lake_path)
            assert any(check.left for check in checks)
            assert [check for check in checks if not check.ok] == []
            # What was made of rows cannot be taken back out of Kafka: that is said, and nothing is done.
            run_until_end(log, [Bars])
            last = last_progress(log, Bars, 0)
            assert last is not None
            beyond = replace(last[1], positions={"trades": {0: log.end("trades", 0) + 5}})
            log.append([control_record(progress_topic("bars"), 0, beyond.value())])
        with pytest.raises(
            LogError, match=r"Kafka cuts no partition at its end.*feed the files again"
        ):
            repair(settings, yes=True, tell=told.append)
        assert any("flow bars/0 stands at offset" in line for line in told)


@pytest.mark.timeout(400)
def test_a_topic_that_was_deleted_and_made_anew_is_found_out_however_much_it_has(
    broker: Broker, tmp_path: Path
) -> None:
    """Flows and the lander read on at their positions in the old one: what came before was lost unseen."""
    settings = Settings(home=tmp_path, log=f"kafka://{broker.address}")
    with store_process(tmp_path / "store"):
        with open_log(settings.log) as log:
            create_topics(log, 1)
            for seed in range(3):
                append_trades(log, seed, 30)
            run_until_end(log, [Bars])
        land(settings)
        with open_log(settings.log) as log:
            before = log.end("trades", 0)
            log.delete_topic("trades")
            create_topics(log, 1)
            while log.end("trades", 0) <= before:
                append_trades(log, 9, 30)
            with pytest.raises(LogError, match=r"trades\[0\]: bars/0 has read up to .* made anew"):
                run_until_end(log, [Bars])
            assert [one.topic for one in stored_beyond(log)] == ["trades"]
        with pytest.raises(LostTailError, match=r"trades\[0\]"):
            land(settings)
        told: list[str] = []
        with pytest.raises(LogError, match="Kafka cuts no partition at its end"):
            repair(settings, yes=True, tell=told.append)
        assert any(
            "flow bars/0 stands at offset" in line and "others have" in line for line in told
        )
