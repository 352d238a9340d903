"""The HeyTraders API as an ASGI application over an open engine: one module for each section of the API."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse
from starlette.responses import Response as HttpResponse
from starlette.routing import Match
from starlette.routing import Route as HttpRoute

from api.errors import InvalidInput, clean
from engine.engine import Engine

from . import arena, backtest, docs, live, market, meta, orders, research
from .binding import PREFIX, Route, http_routes, refusal

SECTIONS: Final[tuple[tuple[Route, ...], ...]] = (
    meta.ROUTES,
    market.ROUTES,
    orders.ROUTES,
    docs.ROUTES,
    backtest.ROUTES,
    research.ROUTES,
    live.ROUTES,
    arena.ROUTES,
)


def create_app(engine: Engine) -> Starlette:
    """Serve every section of the API under `/api/v1`. The caller has to close the engine."""
    app = Starlette(routes=_routes())
    app.state.engine = engine
    app.router.redirect_slashes = False

    async def refuse_path(http: HttpRequest, error: Exception) -> HttpResponse:
        methods = _methods(app, http)
        suggestion = f"GET {PREFIX}/docs/api-reference lists every endpoint"
        if methods:
            suggestion = f"This path takes {', '.join(methods)}"
        what = f"there is no endpoint {http.method} {clean(http.url.path, 100)}"
        status = error.status_code if isinstance(error, HTTPException) else 500
        answer = refusal(InvalidInput(what, suggestion=suggestion), engine.clock, status=status)
        if methods:
            answer.headers["Allow"] = ", ".join(methods)
        return answer

    app.add_exception_handler(HTTPException, refuse_path)
    return app


@cache
def _routes() -> list[HttpRoute]:
    """The same for every engine of a process."""
    bound = [served for section in SECTIONS for served in section]

    @cache
    def described() -> dict[str, Any]:
        return docs.describe([served.endpoint for served in bound])

    async def openapi(_: HttpRequest) -> HttpResponse:
        return JSONResponse(described())

    return [*http_routes(bound), HttpRoute(f"{PREFIX}/openapi.json", openapi)]


def _methods(app: Starlette, http: HttpRequest) -> list[str]:
    """The parameters of the request's path, if any."""
    matching = [r for r in app.routes if isinstance(r, HttpRoute) and r.matches(http.scope)[0] is Match.PARTIAL]
    return sorted({method for r in matching for method in r.methods or ()})
