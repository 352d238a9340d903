"""Binds an endpoint's declaration and its handler to HTTP: parse, admit, handle, wrap."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse
from starlette.routing import Route as HttpRoute

from api.endpoint import Endpoint, RequestT, Response, ResponseT
from api.errors import HeyTradersError
from engine.access import Caller

from .answers import answer, fault, refusal
from .parsing import read_request

if TYPE_CHECKING:
    from engine.engine import Engine

PREFIX: Final = "/api/v1"

Handler = Callable[["Engine", Caller, RequestT], Awaitable[ResponseT]]
Representation = Callable[[HttpRequest, ResponseT], HttpResponse | None]
"""Another form of an answer than the envelope, for requests that ask for it; `None` for the envelope."""


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint that the engine serves."""

    endpoint: Endpoint[Any, Any]
    handler: Callable[[Engine, Caller, Any], Awaitable[Response]]
    represent: Callable[[HttpRequest, Any], HttpResponse | None] | None


def route(
    endpoint: Endpoint[RequestT, ResponseT],
    handler: Handler[RequestT, ResponseT],
    *,
    represent: Representation[ResponseT] | None = None,
) -> Route:
    """Pair an endpoint with a handler of its types."""
    return Route(endpoint, handler, represent)


def http_routes(engine: Engine, routes: Iterable[Route]) -> list[HttpRoute]:
    """The routes as Starlette wants them: fixed paths before those with placeholders, so that none shadows another."""
    ordered = sorted(routes, key=lambda r: [part.startswith("{") for part in r.endpoint.path.split("/")])
    return [
        HttpRoute(PREFIX + r.endpoint.path, _bind(engine, r), methods=[r.endpoint.method], name=r.endpoint.name)
        for r in ordered
    ]


def _bind(engine: Engine, bound: Route) -> Callable[[HttpRequest], Awaitable[HttpResponse]]:
    endpoint = bound.endpoint

    async def handle(http: HttpRequest) -> HttpResponse:
        try:
            address = http.client.host if http.client else "local"
            caller = await engine.access.admit(_key(http), endpoint.scope, address)
            request = await read_request(http, endpoint)
            result = await bound.handler(engine, caller, request)
            represented = bound.represent(http, result) if bound.represent else None
            return represented or answer(result.model_dump(), engine.clock)
        except HeyTradersError as error:
            return refusal(error, engine.clock)
        except ClientDisconnect:
            raise
        except Exception as error:  # noqa: BLE001 - the last line: whatever broke, the caller gets an envelope
            return fault(error, engine.clock)

    return handle


def _key(http: HttpRequest) -> str | None:
    """The key in `X-API-Key`, or as a bearer token, which other versions of the API use."""
    scheme, _, token = http.headers.get("authorization", "").partition(" ")
    bearer = token if scheme.casefold() == "bearer" else ""
    return http.headers.get("x-api-key", "").strip() or bearer.strip() or None
