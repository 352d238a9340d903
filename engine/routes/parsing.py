"""From an HTTP request to the exact request model of an endpoint, or to one refusal that says how to fix it."""

from __future__ import annotations

import json
import types
from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Final, NoReturn, Union, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError
from starlette.requests import Request as HttpRequest

from api.endpoint import Endpoint, RequestT
from api.errors import InvalidInput
from api.outputs import JsonNumber
from api.refusals import refuse, show

MAX_BODY_BYTES: Final = 1 << 20
_BODY_METHODS: Final = frozenset({"POST", "PUT", "PATCH"})
_AS_OBJECT: Final = "Send one JSON object with the parameters"


async def read_request(http: HttpRequest, endpoint: Endpoint[RequestT, Any]) -> RequestT:
    """Parse path, query and body.

    Raises:
        InvalidInput: Anything is malformed, unknown, given twice or outside its range.
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
        InvalidInput: It is not that.
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
    """Refuse text that no database or UTF-8 stream can hold: lone surrogates and NUL. `name` is the field's."""
    if isinstance(value, str):
        if "\0" in value or not _is_unicode(value):
            raise InvalidInput(
                f"{name} {show(value)} holds characters that are not text (NUL, or half of a surrogate pair)".lstrip(),
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
    """The list, or the text as it came for the model to judge."""
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
