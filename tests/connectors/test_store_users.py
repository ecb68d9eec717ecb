"""Users of the store: the file that keeps them, who is let in, what they may take; with a clock of the test's own."""

import base64
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.chdb_engine import StoreError
from connectors.clickhouse_statement import StatementError
from connectors.store_door import Knock, StoreDoor, knock_of
from connectors.store_key import ACCESS, PROGRAMS, program_key
from connectors.store_quotas import Limits, Quota, Quotas
from connectors.store_users import (
    GUEST,
    StoreRole,
    StoreUser,
    StoreUsers,
    fits,
    hash_of_key,
    hash_of_password,
    with_changes,
)

PASSWORD = "correct horse battery"


class Clock:
    """Seconds that only the test moves."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def quinn(**changes: object) -> StoreUser:
    values = {"name": "quinn", "role": StoreRole.QUANT, "secret": hash_of_key("key"), **changes}
    return StoreUser(**values)


def test_users_are_kept_in_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    user = with_changes(
        quinn(topics=frozenset({"orders"})), {"seconds": 7, "quota.queries": 3, "threads": 1}
    )
    StoreUsers(tmp_path).put(user)
    file = tmp_path / ACCESS / "users.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert StoreUsers(tmp_path).all() == {"quinn": user}
    assert (user.limits.seconds, user.quota.queries) == (7, 3)
    assert "key" not in file.read_text().replace("key:", "")


def test_a_file_that_others_can_read_is_not_taken(tmp_path: Path) -> None:
    StoreUsers(tmp_path).put(quinn())
    (tmp_path / ACCESS / "users.json").chmod(0o644)
    with pytest.raises(StoreError, match="chmod 600"):
        StoreUsers(tmp_path).get("quinn")


def test_a_running_store_sees_a_change_at_once(tmp_path: Path) -> None:
    seen, changed = StoreUsers(tmp_path), StoreUsers(tmp_path)
    assert seen.get("quinn") is None
    changed.put(quinn())
    assert seen.get("quinn") is not None
    changed.drop("quinn")
    assert seen.get("quinn") is None
    with pytest.raises(StoreError, match="no user 'quinn'"):
        changed.drop("quinn")


@pytest.mark.parametrize("name", ["", "a b", PROGRAMS, "x" * 65, "a/b", "é"])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="a name has"):
        StoreUsers(tmp_path).put(quinn(name=name))


def test_wrong_limits_and_topics_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="'second' is none of"):
        with_changes(quinn(), {"second": 1})
    with pytest.raises(StoreError, match="must be a whole number"):
        with_changes(quinn(), {"seconds": 0})
    with pytest.raises(StoreError, match="no topics nothing"):
        StoreUsers(tmp_path).put(quinn(topics=frozenset({"nothing"})))


def test_passwords_are_argon2_and_keys_are_sha256() -> None:
    secret = hash_of_password(PASSWORD)
    assert secret.startswith("$argon2id$")
    assert fits(secret, PASSWORD)
    assert not fits(secret, PASSWORD + " ")
    assert fits(hash_of_key("a key"), "a key")
    assert not fits(hash_of_key("a key"), "another")
    assert not fits("", "")
    with pytest.raises(StoreError, match="at least 12"):
        hash_of_password("short")


def test_the_program_key_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    assert program_key(tmp_path) is None
    key = program_key(tmp_path, make=True)
    assert key == program_key(tmp_path) == program_key(tmp_path, make=True)
    assert (tmp_path / ACCESS / "program-key").stat().st_mode & 0o777 == 0o600


def test_who_says_nothing_is_a_quant_from_this_machine_only(tmp_path: Path) -> None:
    door = StoreDoor(tmp_path)
    assert door.enter(Knock(GUEST, "", is_local=True)).role is StoreRole.QUANT
    with pytest.raises(StatementError, match="password required") as caught:
        door.enter(Knock(GUEST, "", is_local=False))
    assert caught.value.code == 194


def test_the_guest_can_be_sent_away_or_given_a_password(tmp_path: Path) -> None:
    door, users = StoreDoor(tmp_path), StoreUsers(tmp_path)
    users.let_guest(in_=False)
    with pytest.raises(StatementError, match="516"):
        door.enter(Knock(GUEST, "", is_local=True))
    users.let_guest(in_=True)
    users.put(quinn(name=GUEST, secret=hash_of_key("secret")))
    with pytest.raises(StatementError, match="516"):
        door.enter(Knock(GUEST, "", is_local=True))
    assert door.enter(Knock(GUEST, "secret", is_local=False)).name == GUEST


def test_the_programs_have_their_key(tmp_path: Path) -> None:
    door = StoreDoor(tmp_path)
    key = program_key(tmp_path)
    assert key is not None
    assert door.enter(Knock(PROGRAMS, key, is_local=False)).role is StoreRole.ADMIN
    for wrong in ("", key[:-1], key + "x"):
        with pytest.raises(StatementError, match="516"):
            door.enter(Knock(PROGRAMS, wrong, is_local=True))


def test_a_right_password_is_remembered_for_a_while_and_not_beyond_a_change(
    tmp_path: Path,
) -> None:
    clock = Clock()
    door, users = StoreDoor(tmp_path, clock), StoreUsers(tmp_path)
    users.put(quinn(secret=hash_of_password(PASSWORD)))
    knock = Knock("quinn", PASSWORD, is_local=False)
    assert door.known(knock) is None
    door.enter(knock)
    assert door.known(knock) is not None
    assert door.known(Knock("quinn", "another password", is_local=False)) is None
    clock.now_s += 301
    assert door.known(knock) is None
    door.enter(knock)
    users.put(quinn(secret=hash_of_password("another password")))
    assert door.known(knock) is None
    with pytest.raises(StatementError, match="516"):
        door.enter(knock)


def test_a_dropped_user_is_out_whatever_was_remembered(tmp_path: Path) -> None:
    door, users = StoreDoor(tmp_path), StoreUsers(tmp_path)
    users.put(quinn(secret=hash_of_password(PASSWORD)))
    knock = Knock("quinn", PASSWORD, is_local=False)
    door.enter(knock)
    users.drop("quinn")
    with pytest.raises(StatementError, match="516"):
        door.enter(knock)


def test_many_wrong_passwords_are_waited_for_but_who_is_known_comes_in(tmp_path: Path) -> None:
    clock = Clock()
    door, users = StoreDoor(tmp_path, clock), StoreUsers(tmp_path)
    users.put(quinn(secret=hash_of_password(PASSWORD)))
    right = Knock("quinn", PASSWORD, is_local=False)
    door.enter(right)
    for _ in range(10):
        with pytest.raises(StatementError, match="516"):
            door.enter(Knock("quinn", "wrong", is_local=False))
    with pytest.raises(StatementError, match="wait 60 s"):
        door.enter(Knock("quinn", "wrong", is_local=False))
    assert door.enter(right).name == "quinn"
    clock.now_s += 61
    with pytest.raises(StatementError, match="or there is no user"):
        door.enter(Knock("quinn", "wrong", is_local=False))


def test_an_unknown_name_and_a_wrong_password_are_told_alike(tmp_path: Path) -> None:
    door = StoreDoor(tmp_path)
    StoreUsers(tmp_path).put(quinn(secret=hash_of_password(PASSWORD)))
    told = []
    for name in ("quinn", "quenn"):
        with pytest.raises(StatementError) as caught:
            door.enter(Knock(name, "wrong password", is_local=False))
        told.append(str(caught.value).replace(name, "X"))
    assert told[0] == told[1]


def _basic(text: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    ("headers", "parameters", "wanted"),
    [
        ({}, {}, (GUEST, "")),
        (_basic("quinn:a:b"), {}, ("quinn", "a:b")),
        (_basic(":"), {}, (GUEST, "")),
        ({"x-clickhouse-user": "quinn", "x-clickhouse-key": "p"}, {}, ("quinn", "p")),
        ({}, {"user": "quinn", "password": "p"}, ("quinn", "p")),
        ({}, {"password": "p"}, (GUEST, "p")),
        (_basic("quinn:p"), {"user": "quinn", "password": "p"}, ("quinn", "p")),
    ],
)
def test_credentials_come_in_each_of_clickhouses_ways(
    headers: dict[str, str], parameters: dict[str, str], wanted: tuple[str, str]
) -> None:
    knock = knock_of(headers, parameters, "127.0.0.1")
    assert (knock.name, knock.password) == wanted


@pytest.mark.parametrize(
    ("headers", "parameters"),
    [
        (_basic("quinn:p"), {"user": "ada", "password": "p"}),
        ({**_basic("quinn:p"), "x-clickhouse-user": "ada"}, {}),
        ({"authorization": "Bearer x"}, {}),
        ({"authorization": "Basic ==="}, {}),
        (_basic("without a colon"), {}),
    ],
)
def test_credentials_that_do_not_agree_are_refused(
    headers: dict[str, str], parameters: dict[str, str]
) -> None:
    with pytest.raises(StatementError, match="516"):
        knock_of(headers, parameters, "127.0.0.1")


@pytest.mark.parametrize(
    ("client", "host", "is_local"),
    [
        ("127.0.0.1", "127.0.0.1:8123", True),
        ("127.0.0.1", "localhost", True),
        ("::1", "[::1]:8123", True),
        ("127.0.0.1", "evil.example:8123", False),
        ("127.0.0.1", "127.0.0.1.evil.example", False),
        ("127.0.0.1", "", False),
        ("192.0.2.7", "127.0.0.1:8123", False),
        (None, "127.0.0.1", False),
    ],
)
def test_this_machine_is_the_peer_and_the_name_that_was_called(
    client: str | None, host: str, *, is_local: bool
) -> None:
    """A page whose name was made to lead to 127.0.0.1 calls its own name."""
    assert knock_of({"host": host}, {}, client).is_local is is_local


def begin(quotas: Quotas, user: str, limits: Limits, quota: Quota) -> None:
    """A statement that takes nothing."""
    with quotas.statement(user, limits, quota):
        pass


def test_each_quota_ends_and_begins_anew_with_the_interval() -> None:
    clock = Clock()
    quotas, limits = Quotas(clock), Limits()
    quota = Quota(interval_s=60, queries=3, result_bytes=100, read_rows=1_000, seconds=10)
    for _ in range(3):
        with quotas.statement("q", limits, quota):
            pass
    with pytest.raises(StatementError, match=r"queries = 3/3.*end in 60 s") as caught:
        begin(quotas, "q", limits, quota)
    assert caught.value.code == 201
    with quotas.statement("another", limits, quota):
        pass
    clock.now_s += 60
    with quotas.statement("q", limits, quota) as taken:
        taken.read(2_000)
    with pytest.raises(StatementError, match="read_rows = 2000/1000"):
        begin(quotas, "q", limits, quota)
    clock.now_s += 60
    with quotas.statement("q", limits, quota):
        clock.now_s += 11
    with pytest.raises(StatementError, match="seconds = 11/10"):
        begin(quotas, "q", limits, quota)


def test_what_fails_counts_as_well() -> None:
    quotas, limits, quota = Quotas(Clock()), Limits(result_bytes=10), Quota(result_bytes=15)
    with (
        pytest.raises(StatementError, match="max bytes: 10") as caught,
        quotas.statement("q", limits, quota) as taken,
    ):
        taken.sent(16)
    assert caught.value.code == 396
    with pytest.raises(StatementError, match="result_bytes = 16/15"):
        begin(quotas, "q", limits, quota)


def test_statements_at_once_are_limited_for_each_user() -> None:
    quotas, limits = Quotas(Clock()), Limits(at_once=2)
    with quotas.statement("q", limits, Quota()), quotas.statement("q", limits, Quota()):
        with pytest.raises(StatementError, match="Too many simultaneous") as caught:
            begin(quotas, "q", limits, Quota())
        assert caught.value.code == 202
        with quotas.statement("another", limits, Quota()):
            pass
    with quotas.statement("q", limits, Quota()):
        pass


@given(
    st.dictionaries(
        st.sampled_from(
            ["max_result_rows", "max_execution_time", "max_memory_usage", "max_threads"]
        ),
        st.one_of(st.integers().map(str), st.floats().map(str), st.text(max_size=5)),
    ),
    st.builds(
        Limits,
        result_rows=st.integers(1, 100),
        seconds=st.integers(1, 9),
        threads=st.integers(1, 4),
    ),
)
def test_whatever_is_asked_the_limits_hold(asked: dict[str, str], limits: Limits) -> None:
    try:
        found = limits.settings(asked)
    except StatementError:
        return
    most = {
        "max_result_rows": limits.result_rows,
        "max_execution_time": limits.seconds,
        "max_memory_usage": limits.memory_bytes,
        "max_threads": limits.threads,
    }
    assert all(1 <= int(found[name]) <= value for name, value in most.items())
    assert list(found)[-1] == "readonly"
    assert found["readonly"] == "1"
    assert all(int(found[name]) <= float(asked[name]) for name in asked)


def test_users_that_are_added_at_once_are_all_kept(tmp_path: Path) -> None:
    """Each wrote the file as it had read it: the later one without the other's user."""

    def add(number: int) -> None:
        StoreUsers(tmp_path).put(quinn(name=f"user-{number}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
    assert len(StoreUsers(tmp_path).all()) == 40
