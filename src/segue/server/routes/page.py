"""``GET /`` and ``/page/...``: the files of the page, from a table that is built at the start."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from segue.server.errors import ApiError
from segue.server.page_files import INDEX, PageFile, page_files

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",  # covers that need an API key are fetched by a script
        "connect-src 'self'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "require-trusted-types-for 'script'",  # no text ever becomes markup
    ]
)
"""The Content-Security-Policy of the page."""

router = APIRouter(include_in_schema=False)


@router.get("/")
async def get_page(request: Request) -> Response:
    """The page."""
    return _file(request, INDEX)


@router.get("/page/{path:path}")
async def get_page_file(request: Request, path: str) -> Response:
    """A file of the page; the path is looked up in a table, never in the file system."""
    return _file(request, path)


def _file(request: Request, path: str) -> Response:
    file = page_files().get(path)
    if file is None:
        raise ApiError(404, "not_found", "the page has no such file", "the page is at /")
    headers = {
        "etag": file.tag,
        "cache-control": "no-cache",
        "content-security-policy": POLICY,
        "vary": "Accept-Encoding",
    }
    if file.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return _body(request, file, headers)


def _body(request: Request, file: PageFile, headers: dict[str, str]) -> Response:
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers = headers | {"content-encoding": "gzip"}
        return Response(file.compressed, headers=headers, media_type=file.content_type)
    return Response(file.content, headers=headers, media_type=file.content_type)
