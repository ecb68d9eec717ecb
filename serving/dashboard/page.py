"""The dashboard's files over HTTP: the page, its scripts and styles, and Perspective's viewer from its wheel.

The page is answered anew every time; all else has its version in its address (the digest of our files, the
version of Perspective) and may be kept for ever. Nothing comes from another host: the policy that goes with
the page forbids it.
"""

import hashlib
import importlib.util
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from serving.api.problems import ApiError
from serving.api.security import OPEN

_STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOR_EVER = "public, max-age=31536000, immutable"
_PERSPECTIVE_FILES = ("perspective-anywidget.js", "perspective-anywidget.css")

# What Perspective needs beyond 'self': its client's bindings, its engine and its charts are modules and
# workers that it makes from its own text (blob:), compiled to WebAssembly; its viewer has two constant style
# elements (an empty one that it fills by script, and one with text), named here by their digests, and style
# attributes. Neither inline script nor eval is allowed.
_STYLES = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' 'sha256-rjC4ta+DkxJjU72hK9nIKZxg1UN00ALy4b/FYtZ7KHc='"
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval' blob:; worker-src 'self' blob:; "
    f"style-src-elem 'self' {_STYLES}; style-src-attr 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

router = APIRouter(include_in_schema=False, dependencies=[Depends(OPEN)])
"""The page's routes: nobody needs to be signed in to load it, since it has no data of its own."""


@dataclass(frozen=True)
class _Asset:
    body: bytes
    media_type: str


@router.get("/")
async def to_page() -> RedirectResponse:
    """Where the page is."""
    # Relative, so that it holds behind a proxy that puts a path in front.
    return RedirectResponse("dashboard", status_code=307)


@router.get("/dashboard")
async def page() -> HTMLResponse:
    """The page, with the addresses of its files."""
    text = (_STATIC / "index.html").read_text(encoding="utf-8")
    release = perspective_release()
    text = text.replace("{static}", f"dashboard/static/{_digest()}")
    text = text.replace(
        "{perspective}", "" if release is None else f"dashboard/perspective/{release}"
    )
    return HTMLResponse(
        text, headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    )


@router.get("/dashboard/static/{digest}/{name}")
async def own_file(digest: str, name: str) -> Response:
    """A script or a style of ours."""
    asset = _assets().get(name)
    if asset is None or digest != _digest():
        raise ApiError(404, "not-found", "the dashboard has no such file; load the page again")
    return _kept(asset.body, asset.media_type)


@router.get("/dashboard/perspective/{release}/{name}")
def perspective_file(release: str, name: str) -> Response:
    """A file of the viewer, from Perspective's wheel."""
    folder = _perspective_folder()
    if folder is None or release != perspective_release() or name not in _PERSPECTIVE_FILES:
        raise ApiError(
            404, "not-found", "this server has no such file of Perspective; load the page again"
        )
    return _kept((folder / name).read_bytes(), _TYPES[Path(name).suffix])


def _kept(body: bytes, media_type: str) -> Response:
    return Response(body, media_type=media_type, headers={"Cache-Control": _FOR_EVER})


@cache
def _assets() -> dict[str, _Asset]:
    """Our files by name: only what was in the folder is ever served."""
    return {
        path.name: _Asset(path.read_bytes(), _TYPES[path.suffix])
        for path in sorted(_STATIC.iterdir())
        if path.suffix in _TYPES
    }


@cache
def _digest() -> str:
    digest = hashlib.sha256()
    for name, asset in _assets().items():
        digest.update(name.encode() + b"\0" + asset.body + b"\0")
    return digest.hexdigest()[:16]


@cache
def perspective_release() -> str | None:
    """Version of the installed Perspective; None where it is not installed (extra ``dashboard``)."""
    return None if _perspective_folder() is None else version("perspective-python")


@cache
def _perspective_folder() -> Path | None:
    # Looked for, not imported: its engine is 20 MB that the server does not need.
    found = importlib.util.find_spec("perspective")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / "widget" / "static"
    return folder if all((folder / name).is_file() for name in _PERSPECTIVE_FILES) else None
