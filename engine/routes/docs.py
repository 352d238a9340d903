"""The documentation section, and the API's OpenAPI description.

Documents are public: markdown for callers that prefer it, the envelope for the others.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import anyio.to_thread
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse

from api.endpoint import Endpoint
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
from engine.access import ApiCaller
from engine.documents import SLUGS, Document, Slug
from engine.engine import Engine

from .binding import PREFIX, Route, route

MARKDOWN: Final = "text/markdown"
_CACHE: Final = "public, max-age=300"
_WEIGHT: Final = re.compile(r"[01](\.\d{0,3})?")


async def list_documents(engine: Engine, _caller: ApiCaller, _request: DocsRequest) -> DocsListResponse:
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


def _reader(slug: Slug) -> Callable[[Engine, ApiCaller, DocsRequest], Awaitable[DocumentResponse]]:
    async def read(engine: Engine, _caller: ApiCaller, _request: DocsRequest) -> DocumentResponse:
        document = await anyio.to_thread.run_sync(engine.library.document, slug)
        return DocumentResponse(slug=document.slug, title=document.title, content=document.content)

    return read


def as_asked(http: HttpRequest, answer: DocumentResponse) -> HttpResponse | None:
    """Raw markdown if `Accept` ranks it above JSON; an empty 304 if the client already has this text."""
    if not prefers_markdown(http.headers.get("accept", "")):
        return None
    text = (answer.content or "").encode()
    etag = f'"{hashlib.sha256(text).hexdigest()[:24]}"'
    headers = {"ETag": etag, "Cache-Control": _CACHE, "Vary": "Accept"}
    if etag in http.headers.get("if-none-match", ""):
        return HttpResponse(status_code=304, headers=headers)
    return HttpResponse(text, headers=headers, media_type=MARKDOWN)


def prefers_markdown(accept: str) -> bool:
    """Whether an `Accept` header ranks markdown at least as high as JSON."""
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


_TEMPLATE: Final = "#/components/schemas/{model}"


def describe(endpoints: Sequence[Endpoint[Any, Any]]) -> dict[str, Any]:
    """An OpenAPI 3.1 document of `endpoints`."""
    requests: list[tuple[Any, JsonSchemaMode]] = [(e.request, "validation") for e in endpoints]
    responses: list[tuple[Any, JsonSchemaMode]] = [(e.response, "serialization") for e in endpoints]
    schemas, shared = models_json_schema([*requests, *responses], ref_template=_TEMPLATE)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        request = schemas[(endpoint.request, "validation")]
        response = schemas[(endpoint.response, "serialization")]
        fields = _resolved(request, shared).get("properties", {})
        paths.setdefault(PREFIX + endpoint.path, {})[endpoint.method.lower()] = _operation(
            endpoint, fields, request, response
        )
    return {
        "openapi": "3.1.0",
        "info": {"title": "HeyTraders API, embedded engine", "version": "1.0.4"},
        "paths": paths,
        "components": {
            "schemas": shared.get("$defs", {}),
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}},
        },
    }


def _operation(
    endpoint: Endpoint[Any, Any], fields: dict[str, Any], request: dict[str, Any], response: dict[str, Any]
) -> dict[str, Any]:
    in_body = endpoint.method in {"POST", "PUT", "PATCH"}
    outside_body = endpoint.path_fields if in_body else tuple(fields)
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "tags": [endpoint.section],
        "summary": endpoint.summary,
        "parameters": [_parameter(endpoint, name, fields.get(name, {})) for name in outside_body],
        "responses": {"200": {"description": "The envelope", "content": _json(_envelope(response))}},
    }
    if in_body:
        operation["requestBody"] = {"content": _json(request)}
    if endpoint.scope:
        operation["security"] = [{"key": []}]
    return operation


def _parameter(endpoint: Endpoint[Any, Any], name: str, schema: dict[str, Any]) -> dict[str, Any]:
    in_path = name in endpoint.path_fields
    required = in_path or endpoint.request.model_fields[name].is_required()
    return {"name": name, "in": "path" if in_path else "query", "required": required, "schema": schema}


def _envelope(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"success": {"type": "boolean"}, "data": data, "error": {"type": "null"}, "meta": _META},
        "required": ["success", "data", "meta"],
    }


_META: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"timestamp": {"type": "string", "format": "date-time"}},
}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _resolved(schema: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref", "")
    return shared["$defs"][reference.rpartition("/")[2]] if reference else schema
