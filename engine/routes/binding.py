"""Binds an endpoint's declaration and its handler to HTTP: admit the caller, read the request, handle, answer.

Requests are read strictly: all problems are reported at once, each with the value and the fix.
"""

from __future__ import annotations

import json
import logging
import math
import types
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, Union, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse
from starlette.routing import Route as HttpRoute

from api.endpoint import Endpoint, RequestT, ResponseT
from api.errors import CODES, HTTP_STATUS, ErrorCode, HeyTradersError, InvalidInput, OutcomeUnknown, RateLimited, ended
from api.outputs import JsonNumber, Response, to_wire
from api.refusals import refuse, show
from api.times import Clock, iso8601
from engine.access import ApiCaller

if TYPE_CHECKING:
    from engine.engine import Engine

PREFIX: Final = "/api/v1"

Handler = Callable[["Engine", ApiCaller, RequestT], Awaitable[ResponseT]]
Representation = Callable[[HttpRequest, ResponseT], HttpResponse | None]
"""An alternative to the envelope, for requests that ask for it; `None` for the envelope."""


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint that the engine serves."""

    endpoint: Endpoint[Any, Any]
    handler: Callable[[Engine, ApiCaller, Any], Awaitable[Response]]
    represent: Callable[[HttpRequest, Any], HttpResponse | None] | None


def route(
    endpoint: Endpoint[RequestT, ResponseT],
    handler: Handler[RequestT, ResponseT],
    *,
    represent: Representation[ResponseT] | None = None,
) -> Route:
    """Pair an endpoint with a handler of its types."""
    return Route(endpoint, handler, represent)


def http_routes(routes: Iterable[Route]) -> list[HttpRoute]:
    """Routes for a Starlette application whose state has the engine, as `engine`.

    Fixed paths come before those with placeholders, so that none shadows another.
    """
    ordered = sorted(routes, key=lambda r: [part.startswith("{") for part in r.endpoint.path.split("/")])
    return [
        HttpRoute(PREFIX + r.endpoint.path, _bind(r), methods=[r.endpoint.method], name=r.endpoint.name)
        for r in ordered
    ]


def _bind(bound: Route) -> Callable[[HttpRequest], Awaitable[HttpResponse]]:
    endpoint = bound.endpoint

    async def handle(http: HttpRequest) -> HttpResponse:
        engine: Engine = http.app.state.engine
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
        except Exception as error:  # noqa: BLE001 - the last resort: the caller gets an envelope whatever broke
            return fault(error, engine.clock)

    return handle


def _key(http: HttpRequest) -> str | None:
    """The key in `X-API-Key`, or as a bearer token, which other versions of the API use."""
    scheme, _, token = http.headers.get("authorization", "").partition(" ")
    bearer = token if scheme.casefold() == "bearer" else ""
    return http.headers.get("x-api-key", "").strip() or bearer.strip() or None


_LOG: Final = logging.getLogger("heytraders.engine")
_MAX_TEXT: Final = 2_000


def answer(data: object, clock: Clock) -> HttpResponse:
    """A success. Decimals keep their digits; NaN is our fault and raises `ValueError`."""
    return _respond(200, {"success": True, "data": data, "error": None}, clock)


def refusal(error: HeyTradersError, clock: Clock, *, status: int | None = None) -> HttpResponse:
    """A failure, with its code's status unless another is given. A code unknown to the API is a bug.

    The API has no code for an unknown outcome. Its caller takes `INTERNAL_ERROR` after a change for one.
    """
    if isinstance(error, OutcomeUnknown):
        return _failure(500, "INTERNAL_ERROR", error.message, error.suggestion, clock, {})
    if error.code not in CODES:
        return fault(error, clock)
    headers: dict[str, str] = {}
    if isinstance(error, RateLimited) and error.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    suggestion = error.suggestion
    if error.corrected:
        suggestion = f"{ended(suggestion)} Try: {error.corrected}" if suggestion else f"Try: {error.corrected}"
    return _failure(
        status or HTTP_STATUS[cast("ErrorCode", error.code)], error.code, error.message, suggestion, clock, headers
    )


def fault(error: Exception, clock: Clock) -> HttpResponse:
    """An internal error: the traceback goes to the log, and the caller learns only that it happened."""
    _LOG.error("a request failed inside the engine", exc_info=error)
    return _failure(
        500,
        "INTERNAL_ERROR",
        "the engine failed to answer this request",
        "Try again; if this continues, the engine's log says what happened",
        clock,
        {},
    )


def _failure(
    status: int, code: str, message: str, suggestion: str, clock: Clock, headers: dict[str, str]
) -> HttpResponse:
    error = {"code": code, "message": _shown(message), "suggestion": _shown(suggestion)}
    return _respond(status, {"success": False, "data": None, "error": error}, clock, headers)


def _shown(text: str) -> str:
    """Our text with any caller input made harmless; line breaks stay, since carets point into the lines."""
    visible = "".join(c if c == "\n" or c.isprintable() else " " for c in text)
    return visible if len(visible) <= _MAX_TEXT else visible[: _MAX_TEXT - 1] + "…"


def _respond(
    status: int, envelope: dict[str, Any], clock: Clock, headers: dict[str, str] | None = None
) -> HttpResponse:
    body = to_wire({**envelope, "meta": {"timestamp": iso8601(clock.now())}}).encode()
    return HttpResponse(body, status, headers, media_type="application/json")


MAX_BODY_BYTES: Final = 1 << 20
_BODY_METHODS: Final = frozenset({"POST", "PUT", "PATCH"})
_AS_OBJECT: Final = "Send one JSON object with the parameters"


async def read_request(http: HttpRequest, endpoint: Endpoint[RequestT, Any]) -> RequestT:
    """Parse path, query and body.

    Raises:
        InvalidInput: A value is malformed, unknown, given twice or outside its range.
    """
    path = {name: str(value) for name, value in http.path_params.items()}
    if endpoint.method in _BODY_METHODS:
        if http.query_params:
            raise InvalidInput(
                f"{show(next(iter(http.query_params)))} is in the query of a {endpoint.method}",
                suggestion=_AS_OBJECT,
            )
        sent = parse_body(await _body(http))
    else:
        sent = _query(http, endpoint.request)
    for name in path:
        if name in sent:
            raise InvalidInput(f"{name} is given twice: in the path and again", suggestion="Leave it in the path only")
    given: dict[str, object] = {**path, **sent}
    refuse_unstorable(given)
    try:
        return endpoint.request.model_validate(given)
    except ValidationError as error:
        raise refuse(endpoint.name, endpoint.request, error, given) from None


def parse_body(body: bytes) -> dict[str, object]:
    """One JSON object, read strictly: no NaN, no key twice. An empty body is an empty object; digits are kept.

    Raises:
        InvalidInput: The body is anything else.
    """
    if not body.strip():
        return {}
    try:
        value = json.loads(
            body.decode("utf-8"), parse_float=JsonNumber, parse_constant=_refuse_constant, object_pairs_hook=_object
        )
    except RecursionError:
        raise InvalidInput("the body is nested too deeply", suggestion=_AS_OBJECT) from None
    except ValueError as error:
        raise InvalidInput(f"the body is not JSON: {_reason(error)}", suggestion=_AS_OBJECT) from None
    if not isinstance(value, dict):
        raise InvalidInput(f"the body must be a JSON object, not {show(value)}", suggestion=_AS_OBJECT)
    return cast("dict[str, object]", value)


def refuse_unstorable(value: object, name: str = "") -> None:
    """Refuse text that no database or UTF-8 stream can hold: lone surrogates and NUL. `name` is the field name."""
    if isinstance(value, str):
        if "\0" in value or not _is_unicode(value):
            raise InvalidInput(
                (
                    f"{name} {show(value)} contains characters that are not text (NUL, or half of a surrogate pair)"
                ).lstrip(),
                suggestion="Leave them out",
            )
    elif isinstance(value, Mapping):
        for key, item in cast("Mapping[str, object]", value).items():
            refuse_unstorable(key)
            refuse_unstorable(item, key)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            refuse_unstorable(item, name)


async def _body(http: HttpRequest) -> bytes:
    received = bytearray()
    async for part in http.stream():
        received += part
        if len(received) > MAX_BODY_BYTES:
            raise InvalidInput("the body is larger than 1 MiB", suggestion="Send less, or in several requests")
    return bytes(received)


def _query(http: HttpRequest, model: type[BaseModel]) -> dict[str, object]:
    """Each parameter once; a list as repeated keys, as one JSON list, or as a single value."""
    pairs = http.query_params.multi_items()
    times = Counter(name for name, _ in pairs)
    lists = _list_fields(model)
    sent: dict[str, object] = {}
    for name, value in pairs:
        if times[name] > 1 and name not in lists:
            raise InvalidInput(f"{show(name)} is given {times[name]} times", suggestion="Give it once")
        if name not in lists:
            sent[name] = value
        elif times[name] == 1 and value.lstrip().startswith("["):
            sent[name] = _json_list(value)
        else:
            cast("list[object]", sent.setdefault(name, [])).append(value)
    return sent


def _json_list(text: str) -> object:
    """The list, or the raw text for the model to validate."""
    try:
        return cast("object", json.loads(text, parse_constant=_refuse_constant))
    except (ValueError, RecursionError):
        return text


@cache
def _list_fields(model: type[BaseModel]) -> frozenset[str]:
    return frozenset(name for name, field in model.model_fields.items() if _is_list(field.annotation))


def _is_list(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_list(get_args(annotation)[0])
    if origin in {Union, types.UnionType}:
        return any(_is_list(option) for option in get_args(annotation))
    return (origin or annotation) in {list, tuple}


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise InvalidInput(f"{show(twice)} is given twice in one JSON object", suggestion="Give it once")
    return made


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidInput(f"{name} is not a JSON number", suggestion="Send a finite number, or leave the field out")


def _reason(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos}"
    return "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else "a number has too many digits"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
