"""The envelope of every answer, and the one place where an error becomes an HTTP status."""

from __future__ import annotations

import logging
import math
from typing import Any, Final, cast

from starlette.responses import Response as HttpResponse

from api.errors import CODES, HTTP_STATUS, ErrorCode, HeyTradersError, RateLimited, ended
from api.outputs import to_wire
from engine.clock import Clock, iso8601

_LOG: Final = logging.getLogger("heytraders.engine")
_MAX_TEXT: Final = 2_000


def answer(data: object, clock: Clock) -> HttpResponse:
    """A success. Decimals keep their digits; NaN is a fault of ours and raises `ValueError`."""
    return _respond(200, {"success": True, "data": data, "error": None}, clock)


def refusal(error: HeyTradersError, clock: Clock, *, status: int | None = None) -> HttpResponse:
    """A failure, with its code's status unless another is given. A code that the API does not have is a fault."""
    if error.code not in CODES:
        return fault(error, clock)
    headers: dict[str, str] = {}
    if isinstance(error, RateLimited) and error.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    way_out = error.suggestion
    if error.corrected:
        way_out = f"{ended(way_out)} Try: {error.corrected}" if way_out else f"Try: {error.corrected}"
    return _failure(
        status or HTTP_STATUS[cast("ErrorCode", error.code)], error.code, error.message, way_out, clock, headers
    )


def fault(error: Exception, clock: Clock) -> HttpResponse:
    """Something of ours broke: the log gets the traceback, the caller only hears that it happened."""
    _LOG.error("a request failed inside the engine", exc_info=error)
    return _failure(
        500,
        "INTERNAL_ERROR",
        "the engine failed to answer this request",
        "Try again; if it stays so, the engine's log says what happened",
        clock,
        {},
    )


def _failure(
    status: int, code: str, message: str, suggestion: str, clock: Clock, headers: dict[str, str]
) -> HttpResponse:
    error = {"code": code, "message": _shown(message), "suggestion": _shown(suggestion)}
    return _respond(status, {"success": False, "data": None, "error": error}, clock, headers)


def _shown(text: str) -> str:
    """Our text with whatever a caller smuggled into it made harmless; lines stay, since carets point into them."""
    visible = "".join(c if c == "\n" or c.isprintable() else " " for c in text)
    return visible if len(visible) <= _MAX_TEXT else visible[: _MAX_TEXT - 1] + "…"


def _respond(
    status: int, envelope: dict[str, Any], clock: Clock, headers: dict[str, str] | None = None
) -> HttpResponse:
    body = to_wire({**envelope, "meta": {"timestamp": iso8601(clock.now())}}).encode()
    return HttpResponse(body, status, headers, media_type="application/json")
