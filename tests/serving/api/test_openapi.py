"""The OpenAPI document, and the server held to it by schemathesis."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from serving.api.app import create_app
from serving.api.scopes import Scope
from serving.settings import Settings
from tests.serving.api.servers import server
from tests.serving.api.signed_in import service
from tests.stores import store_process

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
METHODS = {"get", "put", "post", "delete", "patch"}
# Of all routes together; what is left out after it is told.
BUDGET_S = 45.0


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return create_app(Settings(home=tmp_path_factory.mktemp("none"))).openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, of_path in document["paths"].items():
        for method in sorted(METHODS & set(of_path)):
            yield method, path, of_path[method]


def test_every_operation_says_what_it_does_what_it_needs_and_how_it_fails(
    document: dict[str, Any],
) -> None:
    found = list(operations(document))
    assert len(found) > 20
    for method, path, operation in found:
        where = f"{method} {path}"
        assert operation["description"], where
        assert operation["tags"], where
        problems = [
            answer["content"].keys()
            for status, answer in operation["responses"].items()
            if status >= "400"
        ]
        assert problems, where
        assert all(kinds == {"application/problem+json"} for kinds in problems), where
        if "security" in operation:
            scopes = operation["security"][0]["bearer"]
            # Of streams each topic needs its own.
            assert (len(scopes) == 1) != (operation["tags"] == ["streams"]), where
            assert set(scopes) <= set(Scope), where


def test_bodies_have_examples(document: dict[str, Any]) -> None:
    body = document["components"]["schemas"]["SignInBody"]["properties"]
    assert body["user"]["examples"] == ["tess"]
    assert document["components"]["schemas"]["KeyBody"]["properties"]["scopes"]["examples"]


def test_the_document_is_served_as_it_is_made(home: Path, document: dict[str, Any]) -> None:
    with service(home) as served:
        assert served.client.get("/openapi.json").json() == document


def test_the_server_keeps_to_its_document(home: Path) -> None:
    """No 5xx, and no answer that the document does not foresee, for requests that it describes and others."""
    with service(home) as served:
        _, key = served.users.keys.create("admin", "schemathesis", list(Scope))
    with store_process(home / "store"), server(home, TAPEFLOW_API_RATE="1000000") as running:
        schema = schemathesis.openapi.from_dict(
            httpx.get(f"{running.url}/openapi.json", timeout=10).json()
        )
        deadline_s = time.monotonic() + BUDGET_S
        tested, left = [], []
        session = requests.Session()
        for result in schema.get_all_operations():
            operation = result.ok()
            kinds = {
                kind
                for answer in operation.definition.raw["responses"].values()
                for kind in answer.get("content", {})
            }
            if "text/event-stream" in kinds:
                # It has no end; `test_streams*` reads them.
                continue
            if time.monotonic() > deadline_s:
                left.append(operation.label)
                continue

            @settings(
                max_examples=25,
                database=None,
                derandomize=True,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy())
            def keeps(case: schemathesis.Case) -> None:
                case.call_and_validate(
                    base_url=running.url,
                    session=session,
                    headers={"X-API-Key": key},
                    checks=CHECKS,
                    timeout=20,
                )

            keeps()
            tested.append(operation.label)
        session.close()
        assert running.process.poll() is None
        assert "request failed" not in running.err.read_text()
    assert len(tested) > 20, left
