"""What answers of the API have in common."""

from typing import Any

import httpx


def check_problem(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """An error is a problem document (RFC 9457) of this kind; its members."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["type"] == f"urn:tapeflow:problem:{kind}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body["correlation_id"] == answer.headers["X-Correlation-ID"]
    return body
