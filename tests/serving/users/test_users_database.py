"""The users database: what is written stays, older tables are brought up, and who may read it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from serving.settings import Settings
from serving.users.database import Database, UsersDatabaseError
from serving.users.key_file import KeyFileError, load_keys
from serving.users.sign_in import Claim
from serving.users.users import Users
from tests.full_disk import room_of
from tests.serving.users.conftest import PASSWORD


def test_what_was_written_is_there_after_a_restart(users_url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, users=users_url)
    opened = Users(settings)
    token = opened.people.first_admin()
    signed = opened.sign_in.tokens(Claim(user="admin", password=PASSWORD, one_time_token=token))
    opened.close()
    again = Users(settings)
    assert again.people.first_admin() is None
    assert again.sessions.user_of_access(signed.access)[0] == "admin"
    again.sessions.refresh(signed.refresh)
    again.close()


def test_a_disk_without_room_is_named_nothing_is_half_there_and_it_goes_on_with_room(
    tmp_path: Path,
) -> None:
    """It was told as any failure: "OperationalError; is it there?"."""
    database = Database(f"sqlite:///{tmp_path / 'users.db'}")
    with (
        room_of(20_000),
        pytest.raises(UsersDatabaseError, match=r"SQLITE_(FULL|IOERR).*has its disk room"),
        database.writing() as session,
    ):
        session.execute(text("CREATE TABLE half AS SELECT hex(zeroblob(100000)) AS wide"))
    with database.writing() as session:
        session.execute(text("CREATE TABLE half AS SELECT 1 AS wide"))
    database.close()


def test_a_newer_database_is_refused(users_url: str) -> None:
    database = Database(users_url)
    with database.writing() as session:
        session.execute(text("UPDATE schema_version SET version = 99"))
    database.close()
    with pytest.raises(UsersDatabaseError, match="of version 99"):
        Database(users_url)


def test_tables_of_an_older_version_are_upgraded_once_and_keep_what_they_hold(
    users: Users, users_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    users.people.first_admin()
    steps = (
        ("ALTER TABLE users ADD COLUMN desk VARCHAR(20)", "UPDATE users SET desk = 'first'"),
        ("UPDATE users SET desk = desk || ', second'",),
    )
    monkeypatch.setattr("serving.users.upgrades.UPGRADES", steps)
    for _ in range(2):
        database = Database(users_url)
        with database.reading() as session:
            assert session.execute(text("SELECT name, desk FROM users")).all() == [
                ("admin", "first, second")
            ]
            assert session.execute(text("SELECT version FROM schema_version")).scalar_one() == 3
        database.close()
    # Whoever does not know these tables leaves them alone.
    monkeypatch.undo()
    with pytest.raises(UsersDatabaseError, match="of version 3, this program knows 1"):
        Database(users_url)


def test_an_upgrade_that_fails_leaves_the_tables_as_they_were(
    users_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Database(users_url).close()
    steps = (("ALTER TABLE users ADD COLUMN desk VARCHAR(20)", "UPDATE nowhere SET desk = 1"),)
    monkeypatch.setattr("serving.users.upgrades.UPGRADES", steps)
    with pytest.raises(UsersDatabaseError):
        Database(users_url)
    monkeypatch.undo()
    database = Database(users_url)
    with database.reading() as session:
        names = list(session.execute(text("SELECT * FROM users")).keys())
    assert "name" in names
    assert "desk" not in names
    database.close()


def test_a_database_that_does_not_answer_is_told_without_its_password() -> None:
    with pytest.raises(UsersDatabaseError) as caught:
        Database("postgresql://me:very%20secret@127.0.0.1:1/none")
    assert "very" not in str(caught.value)
    assert "127.0.0.1:1" in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_database_file_is_its_owners(tmp_path: Path) -> None:
    Database(f"sqlite:///{tmp_path / 'users.db'}").close()
    assert (tmp_path / "users.db").stat().st_mode & 0o777 == 0o600


def test_the_key_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "users.key"
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: load_keys(path).tokens, range(8)))
    assert len(set(made)) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["users.key"]
    path.chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_keys(path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(KeyFileError, match="32 bytes were needed, it has 5"):
        load_keys(path)
