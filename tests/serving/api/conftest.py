"""A home with users, made once a run and copied for each test: making one costs a second of syncs."""

import shutil
from pathlib import Path

import pytest

from tests.serving.api.signed_in import make_home
from tests.serving.users.conftest import hash_cheaply


@pytest.fixture(scope="session")
def made_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the users that `tests.serving.api.signed_in` names; not to be changed."""
    home = tmp_path_factory.mktemp("api") / "home"
    with pytest.MonkeyPatch.context() as patch:
        hash_cheaply(patch)
        make_home(home)
    return home


@pytest.fixture
def home(made_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That home, as the test's own; passwords cost no time to check."""
    hash_cheaply(monkeypatch)
    return shutil.copytree(made_home, tmp_path / "home")
