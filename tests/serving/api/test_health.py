"""Whether it lives, whether it is ready, and what it counts: also where something is away."""

import asyncio
from pathlib import Path

import pytest

from connectors.log import LogError
from serving.users.database import UsersDatabaseError
from tests.serving.api.apps import running
from tests.serving.api.signed_in import service


def test_it_is_ready_once_all_parts_have_started(home: Path) -> None:
    with service(home) as served:
        assert served.client.get("/health").json() == {"status": "alive"}
        found = served.client.get("/ready").json()
        assert found["status"] == "ready"
        assert "audit" in found["parts"]
        served.state.started = False
        assert served.client.get("/ready").status_code == 503
        assert served.client.get("/health").status_code == 200


def test_it_is_not_ready_while_it_shuts_down(home: Path) -> None:
    with service(home) as served:
        served.state.closing.set()
        assert served.client.get("/ready").status_code == 503


@pytest.mark.parametrize("what", ["log", "users database"])
def test_it_is_not_ready_without_log_or_users(
    home: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> int:
        raise LogError("away") if what == "log" else UsersDatabaseError("away")

    with service(home) as served:
        if what == "log":
            monkeypatch.setattr(served.state.log, "end", away)
        else:
            monkeypatch.setattr(served.users.database, "ping", away)
        answer = served.client.get("/ready")
        assert answer.status_code == 503
        assert answer.json()["detail"] == f"the {what} does not answer"


def test_prometheus_reads_the_metrics_with_a_key(home: Path) -> None:
    with service(home) as served:
        headers = served.headers("admin")
        body = {"name": "prometheus", "scopes": ["operations:read"]}
        key = served.client.post("/v1/me/keys", json=body, headers=headers).json()["key"]
        answer = served.client.get("/metrics", headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == 200
        assert "tapeflow_api_seconds_bucket" in answer.text
        # And nothing else.
        assert served.client.get("/v1/me", headers={"X-API-Key": key}).status_code == 403


def test_a_log_that_is_not_there_is_told_when_it_starts(tmp_path: Path) -> None:
    async def start() -> None:
        async with running(tmp_path, log=f"sqlite:///{tmp_path}"):
            pass

    with pytest.raises(LogError):
        asyncio.run(start())
