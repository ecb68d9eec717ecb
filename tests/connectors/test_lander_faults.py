"""What the lander does when a sink fails: what can pass is ridden out, the rest ends it with what to do."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from connectors.chdb_address import running_store, store_path
from connectors.chdb_engine import StoreError
from connectors.clickhouse import connect
from connectors.lander import Lander
from connectors.landing_faults import LandingError
from connectors.landings import CLICKHOUSE, read_state
from connectors.log import Log
from connectors.metrics import RETRIES
from connectors.store_refusals import advice, cause_of
from connectors.store_users import StoreRole, StoreUser, StoreUsers, hash_of_key
from connectors.topics import create_topics
from schemas.market import TRADES
from tests.connectors.cutting_proxy import Cut, CuttingProxy, Refusal, cutting_proxy
from tests.connectors.landing_rows import append_trades, positions
from tests.connectors.sinks import assert_whole
from tests.stores import store_process

# Whatever a test lands, it is of this topic: making tables is what takes the time.
TOPICS = [TRADES]


@pytest.fixture
def log(sqlite_log: Log) -> Log:
    create_topics(sqlite_log, 2)
    return sqlite_log


@pytest.fixture(scope="module")
def module_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("faults") / "store"
    with store_process(path):
        yield f"chdb:///{path}"


@pytest.fixture
def client(module_store: str) -> Iterator[Client]:
    """The module's store, with no rows of an earlier test."""
    with connect(module_store) as client:
        client.command("DROP TABLE IF EXISTS trades SYNC")
        yield client
        client.command("DROP TABLE IF EXISTS trades SYNC")


@pytest.fixture
def proxy(module_store: str) -> Iterator[CuttingProxy]:
    # As an outside program that lands: a password, and no rights beyond landing.
    StoreUsers(store_path(module_store)).put(
        StoreUser(name="lander", role=StoreRole.LANDER, secret=hash_of_key("secret"))
    )
    address = running_store(store_path(module_store))
    assert address is not None
    with cutting_proxy(address.host, address.port) as proxy:
        yield proxy


def retries(of: str) -> float:
    """Attempts made again, whatever for."""
    (family,) = RETRIES.collect()
    return sum(
        one.value
        for one in family.samples
        if one.labels.get("of") == of and one.name.endswith("_total")
    )


# The request's head is about 900 bytes, the rows some kilobytes; the answer is about 400 bytes.
CUTS = [
    *(Cut(to=at) for at in (1, 300, 1_000, 4_000)),
    *(Cut(back=at) for at in (0, 1, 15, 40, 120, 250)),
]


def test_an_insert_cut_at_any_byte_lands_once(
    log: Log, client: Client, proxy: CuttingProxy, lake: Path
) -> None:
    """The cut may come before, while or after ClickHouse took the rows: the client cannot know."""
    before = retries("store")
    with Lander(log, proxy.url, lake, topics=TOPICS) as lander:
        for seed, cut in enumerate(CUTS):
            append_trades(log, seed, 3)
            proxy.faults.append(cut)
            lander.run_until_end()
            assert proxy.done[-1] == cut
    assert retries("store") - before >= len(CUTS)
    assert_whole(log, client, lake)


REFUSALS: list[list[Cut | Refusal]] = [
    [Refusal(241, "Memory limit (total) exceeded: would use 9 GiB (MEMORY_LIMIT_EXCEEDED)")] * 2,
    [Refusal(252, "Too many parts (3000) in all partitions (TOO_MANY_PARTS)")] * 3,
    [Refusal(159, "Timeout exceeded (TIMEOUT_EXCEEDED)"), Cut(back=0)],
    [Refusal(243, "Cannot reserve 1 MiB, not enough space (NOT_ENOUGH_SPACE)")],
]


def test_a_refusal_for_now_is_ridden_out(
    log: Log, client: Client, proxy: CuttingProxy, lake: Path
) -> None:
    with Lander(log, proxy.url, lake, topics=TOPICS) as lander:
        for seed, refusals in enumerate(REFUSALS):
            before = retries("store")
            append_trades(log, seed, 2)
            proxy.faults += refusals
            lander.run_until_end()
            assert proxy.done[-len(refusals) :] == refusals
            assert retries("store") - before == len(refusals)
    assert_whole(log, client, lake)


def test_too_many_parts_for_a_while_only_delay(
    log: Log, client: Client, module_store: str, lake: Path
) -> None:
    """ClickHouse's own refusal, by a table that may have one part."""
    with Lander(log, module_store, lake, topics=TOPICS) as lander:
        append_trades(log, 1, 3)
        lander.run_until_end()
        client.command(
            "ALTER TABLE trades MODIFY SETTING parts_to_throw_insert = 1, parts_to_delay_insert = 1"
        )
        before = retries("store")
        append_trades(log, 2, 3)
        ease = threading.Timer(
            0.7,
            lambda: client.command(
                "ALTER TABLE trades RESET SETTING parts_to_throw_insert, parts_to_delay_insert"
            ),
        )
        ease.start()
        lander.run_until_end()
        ease.join()
    assert retries("store") > before
    assert_whole(log, client, lake)


def _drop(client: Client) -> Callable[[], None]:
    client.command("DROP TABLE trades SYNC")
    return lambda: None


def _take_a_column(client: Client) -> Callable[[], None]:
    client.command("ALTER TABLE trades DROP COLUMN price")
    return lambda: client.command("ALTER TABLE trades ADD COLUMN price Float64 AFTER ts_recv")


@pytest.mark.parametrize(
    ("break_it", "told"),
    [(_drop, "it was dropped: a start makes it again"), (_take_a_column, "SHOW CREATE TABLE")],
)
def test_a_refusal_for_good_ends_it_with_table_token_range_and_what_to_do(
    log: Log,
    client: Client,
    module_store: str,
    lake: Path,
    break_it: Callable[[Client], Callable[[], None]],
    told: str,
) -> None:
    before = retries("store")
    lander = Lander(log, module_store, lake, topics=TOPICS)
    mend = break_it(client)
    append_trades(log, 2, 1)
    with pytest.raises(LandingError) as caught, lander:
        lander.run_until_end()
    (intent,) = [one for one in read_state(log).open.values() if one.sink == CLICKHOUSE]
    for part in ("`trades`", intent.token, "trades[0] offsets 0 to 0", told, "Nothing is lost"):
        assert part in str(caught.value)
    assert retries("store") == before
    mend()
    with Lander(log, module_store, lake, topics=TOPICS) as lander:
        assert lander.metrics.intents_repeated >= 1
        lander.run_until_end()
    assert_whole(log, client, lake)


def test_a_user_without_the_right_is_told_so_and_no_password_is(
    log: Log, client: Client, proxy: CuttingProxy, lake: Path
) -> None:
    append_trades(log, 1, 2)
    proxy.faults.append(Refusal(164, "Cannot execute query in readonly mode (READONLY)"))
    with (
        pytest.raises(LandingError, match="may not insert there: give it the right") as caught,
        Lander(log, proxy.url, lake, topics=TOPICS) as lander,
    ):
        lander.run_until_end()
    assert "secret" not in str(caught.value)
    with Lander(log, proxy.url, lake, topics=TOPICS) as lander:
        lander.run_until_end()
    assert_whole(log, client, lake)


def test_a_store_that_is_gone_for_a_while_is_waited_for_and_nothing_is_doubled(
    log: Log, tmp_path: Path, lake: Path
) -> None:
    url, stop = f"chdb:///{tmp_path / 'own'}", threading.Event()
    with store_process(tmp_path / "own") as process:
        lander = Lander(log, url, lake, topics=TOPICS)
        thread = threading.Thread(target=lander.run_forever, args=(stop,))
        thread.start()
        append_trades(log, 1, 5)
        time.sleep(0.2)
        process.kill()
        process.wait()
    before = retries("store")
    append_trades(log, 2, 5)
    time.sleep(2)
    assert thread.is_alive()
    assert retries("store") > before
    with store_process(tmp_path / "own"), connect(url) as client:
        wanted = len(positions(TRADES, log))
        deadline = time.monotonic() + 30
        while client.command("SELECT count() FROM trades") != wanted:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        stop.set()
        thread.join()
        lander.close()
        assert_whole(log, client, lake)


def test_told_to_stop_while_the_store_is_away_it_ends_at_once_and_leaves_the_rest_to_the_next(
    log: Log, tmp_path: Path, lake: Path
) -> None:
    url, stop = f"chdb:///{tmp_path / 'own'}", threading.Event()
    errors: list[BaseException] = []

    def work(lander: Lander) -> None:
        try:
            lander.run_forever(stop)
        except StoreError as error:
            errors.append(error)

    with store_process(tmp_path / "own"):
        lander = Lander(log, url, lake, topics=TOPICS)
    thread = threading.Thread(target=work, args=(lander,))
    thread.start()
    append_trades(log, 1, 5)
    time.sleep(1)
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
    lander.close()
    assert "told to stop" in str(errors[0])
    with store_process(tmp_path / "own"), Lander(log, url, lake, topics=TOPICS) as again:
        again.run_until_end()
        with connect(url) as client:
            assert_whole(log, client, lake)


def test_a_store_that_stays_away_ends_the_lander_after_the_time_of_giving_up(
    log: Log, tmp_path: Path, lake: Path
) -> None:
    with store_process(tmp_path / "own"):
        lander = Lander(log, f"chdb:///{tmp_path / 'own'}", lake, topics=TOPICS, give_up_s=0.5)
    append_trades(log, 1, 2)
    with pytest.raises(StoreError, match="not reachable for"), lander:
        lander.run_until_end()


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (DatabaseError("Code: 241", code=241), "memory limit"),
        (DatabaseError("Code: 75. Cannot write: errno: 28, No space left", code=75), "disk full"),
        (DatabaseError("Code: 75. Cannot write: errno: 5", code=75), None),
        (DatabaseError("Code: 53", code=53), None),
        (DatabaseError("bad gateway"), "connection cut"),
        (ConnectionRefusedError("[Errno 111] Connection refused"), "connection refused"),
        (TimeoutError(), "time-out"),
    ],
)
def test_causes_are_few_words_for_metrics(error: Exception, cause: str | None) -> None:
    assert cause_of(error) == cause


def test_every_refusal_has_advice() -> None:
    assert "sql/tables" in advice(DatabaseError("x", code=16))
    assert advice(DatabaseError("x", code=9999)) == "mend it there"
