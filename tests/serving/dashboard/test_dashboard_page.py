"""The page's files over HTTP: where they are, how long they keep, what they may load."""

import asyncio
import re
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from serving.api import problems
from serving.dashboard import page
from tests.serving.api.apps import running

STATIC = Path(page.__file__).parent / "static"


async def _got(app: FastAPI, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.get(path)


def _get(path: str) -> httpx.Response:
    app = FastAPI()
    problems.add_to(app, [page.router])
    app.include_router(page.router)
    return asyncio.run(_got(app, path))


def _addresses(text: str) -> list[str]:
    return re.findall(r'(?:href|src)="([^"#][^"]*)"', text)


def test_the_root_leads_to_the_page() -> None:
    answer = _get("/")
    assert answer.status_code == 307
    assert answer.headers["location"] == "dashboard"


def test_every_file_that_the_page_names_is_there_and_is_kept_for_ever() -> None:
    text = _get("/dashboard").text
    addresses = _addresses(text)
    assert any(address.endswith("main.js") for address in addresses)
    for address in addresses:
        answer = _get(f"/{address}")
        assert answer.status_code == 200, address
        assert "immutable" in answer.headers["cache-control"], address


def test_every_module_that_a_script_imports_is_there() -> None:
    for script in STATIC.glob("*.js"):
        for name in re.findall(r'(?:from|import\()\s*"\./([^"]+)"', script.read_text()):
            assert (STATIC / name).is_file(), f"{script.name} imports {name}"


def test_the_page_itself_is_asked_for_anew_every_time() -> None:
    assert _get("/dashboard").headers["cache-control"] == "no-cache"


def test_nothing_of_ours_comes_from_another_host() -> None:
    for path in STATIC.iterdir():
        found = re.findall(r"(?:https?:|wss?:)?//[a-z0-9.-]+\.[a-z]{2,}", path.read_text())
        # A name of a format, of which nothing is loaded.
        assert [one for one in found if one != "http://www.w3.org"] == [], path.name


def test_the_page_has_neither_inline_script_nor_inline_style() -> None:
    text = (STATIC / "index.html").read_text()
    assert not re.findall(r"<script(?![^>]*\bsrc=)", text)
    assert "<style" not in text
    assert not re.findall(r"\s(?:style|on[a-z]+)=", text)


def test_the_policy_forbids_what_is_not_ours_on_the_running_application(tmp_path: Path) -> None:
    async def policy() -> str:
        async with running(tmp_path) as (_, client):
            answer = await client.get("/dashboard")
            return str(answer.headers["content-security-policy"])

    told = asyncio.run(policy())
    assert told == page.POLICY
    assert "default-src 'none'" in told
    scripts = re.search(r"script-src ([^;]+)", told)
    assert scripts is not None
    assert "unsafe-inline" not in scripts[1]
    assert "'unsafe-eval'" not in scripts[1]


def test_a_file_of_another_version_is_not_there() -> None:
    assert _get("/dashboard/static/0000000000000000/main.js").status_code == 404


@pytest.mark.parametrize("name", ["..%2fpage.py", "index.html", "nothing.js"])
def test_only_files_of_the_folder_are_served(name: str) -> None:
    static = re.search(r"dashboard/static/[0-9a-f]{16}", _get("/dashboard").text)
    assert static is not None
    assert _get(f"/{static[0]}/{name}").status_code == 404


def test_perspective_comes_from_its_wheel_by_its_version() -> None:
    found = re.search(r'name="perspective" content="([^"]+)"', _get("/dashboard").text)
    assert found is not None
    style = _get(f"/{found[1]}/perspective-anywidget.css")
    assert style.status_code == 200
    assert "immutable" in style.headers["cache-control"]
    assert _get(f"/{found[1]}/package.json").status_code == 404


def test_without_perspective_the_page_says_so_and_still_loads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(page, "perspective_release", lambda: None)
    answer = _get("/dashboard")
    assert answer.status_code == 200
    assert 'name="perspective" content=""' in answer.text
