"""The writer of orders: once each, on disk before it says so, and many at the cost of one."""

import threading
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.audit_log import AuditEntry, AuditWriter, read_rows
from connectors.log import Log, LogError, NewRecord, Record, TopicConfig, open_log
from connectors.records import rows_record
from connectors.topics import create_topics
from schemas.orders import ORDERS
from schemas.topic import Topic
from serving.gateway import first_commands
from serving.gateway.known_orders import KnownOrders, Place, packed, unpacked
from serving.gateway.order_writer import CONFLICT, INVALID, BusyError, OrderWriter
from tests.serving.ordering import many, one, order, orders_in, writing


@pytest.fixture
def log(sqlite_log: Log) -> Log:
    create_topics(sqlite_log, 3)
    return sqlite_log


def test_an_order_is_in_the_log_where_the_answer_says(log: Log) -> None:
    with writing(log, clock=lambda: 1_700_000_000_000_000_000) as door:
        (done,) = door.put(one("first", quantity="0.0000000001"))
    (row,) = orders_in(log)
    assert row["place"] == unpacked(done.places[0])
    assert row["order_id"] == done.order_ids[0]
    assert row["quantity"] == Decimal("0.0000000001")
    assert row["ts_event"].value == row["ts_recv"].value == 1_700_000_000_000_000_000


def test_a_retry_gets_the_first_answer_in_the_same_commit_later_and_after_a_restart(
    log: Log,
) -> None:
    with writing(log) as door:
        door.put(many(order("a"), order("b"), order("a")))
        first, again = door.put(one("c"), one("c"))
        assert again.places == first.places
        assert door.put(one("c"))[0].places == first.places
        assert door.put(many(order("x"), order("c")))[0].places[1] == first.places[0]
    with writing(log) as door:
        assert door.put(one("c"))[0].places == first.places
    assert sorted(row["client_order_id"] for row in orders_in(log)) == ["a", "b", "c", "x"]


def test_a_retry_of_what_the_log_keeps_no_more_is_answered_and_not_taken_again(log: Log) -> None:
    with writing(log) as door:
        (first,) = door.put(one("a"))
        place = unpacked(first.places[0])
        door.put(one("b"))
        log.trim(ORDERS.name, place.partition, place.offset + 1)
        batch = many(order("c"), order("a"))
        again, _ = door.put(one("a"), batch)
    for retry, row in ((again, 0), (batch, 1)):
        assert retry.places[row] == first.places[0]
        assert not retry.refused
        assert retry.unread[row]["client_order_id"] == "a"
    assert sorted(row["client_order_id"] for row in orders_in(log)) == ["b", "c"]


def test_a_batch_that_is_given_again_reads_each_of_its_records_once(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was a record decoded for every row: ten thousand orders again held all others up for a minute."""
    orders = [order(f"r{number}", account=f"A{number % 2}") for number in range(200)]
    read: list[tuple[int, int]] = []
    with writing(log) as door:
        first, again = many(*orders), many(*orders, order("r0", account="A0", quantity="7"))
        door.put(first)
        records = {unpacked(place)[:2] for place in first.places}
        decode = first_commands.decode_rows

        def counted(topic: Topic, record: Record) -> pa.RecordBatch:
            read.append((record.partition, record.offset))
            return decode(topic, record)

        monkeypatch.setattr(first_commands, "decode_rows", counted)
        door.put(again)
    assert sorted(read) == sorted(records)
    assert again.places[:200] == first.places
    assert list(again.refused) == [200]


def test_another_order_of_the_same_client_order_id_is_refused(log: Log) -> None:
    with writing(log) as door:
        first, other = door.put(one("a"), one("a", quantity="7"))
        batch = many(order("n"), order("a", side="sell"), order("n", symbol="MSFT"))
        door.put(batch)
        later, elsewhere = door.put(one("a", limit_price="1"), one("a", account="A2"))
    assert not first.refused
    assert [done.refused[0].kind for done in (other, later)] == [CONFLICT, CONFLICT]
    assert sorted(batch.refused) == [1, 2]
    assert [place == -1 for place in batch.places] == [False, True, True]
    assert not elsewhere.refused
    assert len(orders_in(log)) == 3


def test_what_breaks_a_rule_is_refused_and_its_neighbours_are_not(log: Log) -> None:
    with writing(log) as door:
        good, bad, last = door.put(one("a"), one("b", order_type="stop"), one("c"))
    assert bad.refused[0].kind == INVALID
    assert "stop_price" in bad.refused[0].reason
    assert not good.refused
    assert not last.refused
    assert [row["client_order_id"] for row in orders_in(log)] == ["a", "c"]


def test_orders_that_others_append_are_known(log: Log) -> None:
    with writing(log) as door:
        theirs = one("theirs")
        with writing(log) as other:
            other.put(theirs)
        (again,) = door.put(one("theirs"))
        assert again.places == theirs.places
    assert len(orders_in(log)) == 1


class HeldLog:
    """Appends that wait until they are let go; how many there were."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.entered = threading.Semaphore(0)
        self.release = threading.Semaphore(0)
        self.sizes: list[int] = []

    def append(self, entries: Sequence[AuditEntry], records: Sequence[NewRecord]) -> list[int]:
        self.entered.release()
        assert self.release.acquire(timeout=60)
        self.sizes.append(sum(int(dict(record.headers)["rows"]) for record in records))
        return self._log.append(records)


def test_what_comes_while_a_commit_runs_shares_the_next_one(log: Log) -> None:
    held = HeldLog(log)
    with writing(log, append=held.append) as door:
        first = one("first")
        door.writer.submit(first)
        assert held.entered.acquire(timeout=60)
        others = [one(f"o{number}") for number in range(20)]
        for other in others:
            door.writer.submit(other)
        held.release.release()
        held.release.release()
        door.wait(first, *others)
    assert held.sizes == [1, 20]


def test_more_than_may_wait_is_told_at_once(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.gateway.order_writer.WAITING_MAX", 2)
    held = HeldLog(log)
    with writing(log, append=held.append) as door:
        first, second = one("first"), one("second")
        door.writer.submit(first)
        assert held.entered.acquire(timeout=60)
        door.writer.submit(second)
        with pytest.raises(BusyError, match="try again"):
            door.writer.submit(many(order("x"), order("y")))
        held.release.release(2)
        door.wait(first, second)
    with pytest.raises(BusyError, match="closing"):
        door.writer.submit(one("late"))


def test_a_log_that_fails_is_told_to_all_who_wait_and_the_writer_goes_on(log: Log) -> None:
    failures = [LogError("the disk is full"), ZeroDivisionError("a fault of ours")]

    def append(entries: Sequence[AuditEntry], records: Sequence[NewRecord]) -> list[int]:
        if failures:
            raise failures.pop(0)
        return log.append(records)

    with writing(log, append=append) as door:
        failed = door.put(one("a"))[0]
        broken = door.put(one("b"))[0]
        fine = door.put(one("a"))[0]
    assert isinstance(failed.error, LogError)
    assert isinstance(broken.error, ZeroDivisionError)
    assert fine.error is None
    assert [row["client_order_id"] for row in orders_in(log)] == ["a"]


def test_the_audit_of_orders_is_in_their_commit_and_none_is_of_what_was_refused(log: Log) -> None:
    audit = AuditWriter(log)

    def entry(subject: str) -> AuditEntry:
        return AuditEntry(actor="u", ts_event=1, action="order_new", result="done", subject=subject)

    good, bad = one("a"), one("b", order_type="stop")
    good.audit, bad.audit = entry("a"), entry("b")
    with writing(log, append=audit.append) as door:
        door.put(good, bad)
    audit.close()
    assert [row["subject"] for row in read_rows(log, limit=9)] == ["a"]
    assert len(orders_in(log)) == 1


def test_a_topic_that_is_not_synced_takes_no_orders(tmp_path: Path) -> None:
    with open_log(f"sqlite:///{tmp_path / 'log.db'}") as log:
        log.create_topic(TopicConfig(name="orders", partitions=1, synced=False))
        with pytest.raises(LogError, match="synced"):
            OrderWriter(log, lambda _: None)


Step = tuple[bool, list[tuple[str, str, str]]]
_ORDERS = st.lists(
    st.tuples(st.sampled_from(["A1", "A2"]), st.sampled_from("abcd"), st.sampled_from(["1", "2"])),
    min_size=1,
    max_size=4,
)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.booleans(), _ORDERS), max_size=8))
def test_whatever_comes_in_whatever_cut_each_order_is_once_in_the_log(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Step]
) -> None:
    """Against a dictionary: the first order of an account and client order id counts, others conflict."""
    home = tmp_path_factory.mktemp("door")
    with open_log(f"sqlite:///{home / 'log.db'}") as log:
        log.create_topic(TopicConfig(name=ORDERS.name, partitions=2, synced=True))
        first: dict[tuple[str, str], tuple[str, int]] = {}
        with writing(log) as door:
            for is_batch, orders in steps:
                asked = [
                    order(name, account=account, quantity=size) for account, name, size in orders
                ]
                if is_batch:
                    done = door.put(many(*asked))
                    found = [
                        (done[0].places[at], at in done[0].refused) for at in range(len(orders))
                    ]
                else:
                    singles = [
                        one(name, account=account, quantity=size) for account, name, size in orders
                    ]
                    found = [(s.places[0], 0 in s.refused) for s in door.put(*singles)]
                for (account, name, size), (place, refused) in zip(orders, found, strict=True):
                    known = first.setdefault((account, name), (size, place))
                    assert refused == (known[0] != size)
                    assert place == (-1 if refused else known[1])
        rows = {(row["account"], row["client_order_id"]): row for row in orders_in(log)}
        assert len(rows) == len(orders_in(log)) == len(first)
        for key, (size, place) in first.items():
            assert rows[key]["place"] == unpacked(place)
            assert rows[key]["quantity"] == Decimal(size)


@given(st.integers(0, 1023), st.integers(0, 2**47), st.integers(0, 65_535))
def test_a_place_survives_being_packed(partition: int, offset: int, row: int) -> None:
    assert unpacked(packed(partition, offset, row)) == Place(partition, offset, row)


def test_half_of_the_known_orders_at_least_are_the_newest() -> None:
    known = KnownOrders(size_max=100)
    for number in range(1000):
        known.add({f"o{number}": 0}, 0, number)
        assert len(known) <= 100
        for recent in range(max(0, number - 49), number + 1):
            assert known.find(f"o{recent}") == packed(0, recent, 0)
    assert known.find("o0") is None


def test_a_start_knows_the_newest_orders_of_all_partitions(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read one after the other, many orders of the last partition took the place of all others' newest ones."""
    monkeypatch.setattr(first_commands, "_READ_BYTES", 1)
    accounts = ("A1", "A3", "C2")
    with writing(log) as door:
        for number in range(20):
            door.put(*(one(f"o{number}", account=account) for account in accounts))
    known = KnownOrders(size_max=30)
    with writing(log, known=known) as door:
        for account in accounts:
            other = one("o19", account=account, quantity="7")
            assert [one.kind for one in door.put(other)[0].refused.values()] == [CONFLICT]
    assert len({row["place"][0] for row in orders_in(log)}) == 3


def test_the_first_place_of_a_known_order_stays() -> None:
    known = KnownOrders()
    known.add({"a": 0, "b": 1}, 1, 5)
    known.add({"a": 0, "c": 1}, 1, 6)
    assert known.find("a") == packed(1, 5, 0)


def test_a_record_of_something_else_in_the_topic_is_no_order(log: Log) -> None:
    log.append([NewRecord("orders", 0, b"{}", None, (("kind", b"control"),))])
    log.append([rows_record(ORDERS, 0, ORDERS.empty())])
    with writing(log) as door:
        (done,) = door.put(one("a"))
    assert not done.refused
