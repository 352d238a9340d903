"""The documentation section: public, as markdown for those who prefer it, in the envelope otherwise."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Final

import anyio.to_thread
from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse

from api.meta import (
    DOCS_API_REFERENCE,
    DOCS_DATA,
    DOCS_LIST,
    DOCS_OPERATORS,
    DOCS_SIGNAL_DSL,
    DocsListResponse,
    DocsRequest,
    DocumentInfo,
    DocumentResponse,
)
from engine.access import Caller
from engine.documents.library import SLUGS, Document, Slug
from engine.engine import Engine

from .binding import Route, route

MARKDOWN: Final = "text/markdown"
_CACHE: Final = "public, max-age=300"
_WEIGHT: Final = re.compile(r"[01](\.\d{0,3})?")


async def list_documents(engine: Engine, _caller: Caller, _request: DocsRequest) -> DocsListResponse:
    """The four documents, in reading order."""
    documents = await anyio.to_thread.run_sync(lambda: [engine.library.document(slug) for slug in SLUGS])
    return DocsListResponse(documents=tuple(_info(document) for document in documents))


def _info(document: Document) -> DocumentInfo:
    return DocumentInfo(
        slug=document.slug,
        title=document.title,
        description=document.description,
        path=f"/docs/{document.slug}",
        size=document.size,
    )


def _reader(slug: Slug) -> Callable[[Engine, Caller, DocsRequest], Awaitable[DocumentResponse]]:
    async def read(engine: Engine, _caller: Caller, _request: DocsRequest) -> DocumentResponse:
        document = await anyio.to_thread.run_sync(engine.library.document, slug)
        return DocumentResponse(slug=document.slug, title=document.title, content=document.content)

    return read


def as_asked(http: HttpRequest, answer: DocumentResponse) -> HttpResponse | None:
    """Raw markdown where `Accept` ranks it above JSON; nothing again where the reader has this text already."""
    if not prefers_markdown(http.headers.get("accept", "")):
        return None
    text = (answer.content or "").encode()
    etag = f'"{hashlib.sha256(text).hexdigest()[:24]}"'
    headers = {"ETag": etag, "Cache-Control": _CACHE, "Vary": "Accept"}
    if etag in http.headers.get("if-none-match", ""):
        return HttpResponse(status_code=304, headers=headers)
    return HttpResponse(text, headers=headers, media_type=MARKDOWN)


def prefers_markdown(accept: str) -> bool:
    """Whether an `Accept` header names markdown, and no less than JSON."""
    weights = dict(_weight(part) for part in accept.lower().split(","))
    return 0 < weights.get(MARKDOWN, 0.0) >= weights.get("application/json", 0.0)


def _weight(part: str) -> tuple[str, float]:
    media_type, *parameters = (piece.strip() for piece in part.split(";"))
    given = next((p.removeprefix("q=") for p in parameters if p.startswith("q=")), "1")
    return media_type, float(given) if _WEIGHT.fullmatch(given) else 0.0


ROUTES: Final[tuple[Route, ...]] = (
    route(DOCS_LIST, list_documents),
    route(DOCS_SIGNAL_DSL, _reader("signal-dsl"), represent=as_asked),
    route(DOCS_OPERATORS, _reader("operators"), represent=as_asked),
    route(DOCS_DATA, _reader("data"), represent=as_asked),
    route(DOCS_API_REFERENCE, _reader("api-reference"), represent=as_asked),
)
