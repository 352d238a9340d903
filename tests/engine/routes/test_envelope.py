"""Every answer is an envelope, whatever the request; nothing internal ever shows."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from api.errors import CODES, HTTP_STATUS, Denied, InvalidInput
from api.meta import META_HEALTH, HealthRequest, HealthResponse
from engine.access import ApiCaller
from engine.engine import Engine
from engine.routes.binding import Handler, http_routes, parse_body, route
from tests.engine.conftest import Call

SCAN = "/market/scan"
MIB = 1 << 20


def assert_envelope(text: str) -> dict[str, Any]:
    """The documented shape and nothing else."""
    envelope = json.loads(text)
    assert set(envelope) == {"success", "data", "error", "meta"}
    assert set(envelope["meta"]) == {"timestamp"}
    if envelope["success"]:
        assert envelope["error"] is None
    else:
        assert envelope["data"] is None
        assert set(envelope["error"]) == {"code", "message", "suggestion"}
        assert envelope["error"]["code"] in CODES
        assert envelope["error"]["message"]
        assert "Traceback" not in text
    return envelope


async def test_a_success_has_data_and_the_engines_time(call: Call) -> None:
    envelope = assert_envelope((await call("GET", "/meta/health", key=None)).text)

    assert envelope["success"] is True
    assert envelope["meta"]["timestamp"] == "2025-06-16T12:00:00Z"


@pytest.mark.parametrize("path", ["/nope", "/market", "/market/scan/", "/docs/none", "/../etc/passwd", "/%00", "//"])
async def test_an_unknown_path_is_404_in_the_envelope(call: Call, path: str) -> None:
    answer = await call("GET", path)

    assert answer.status_code == 404
    assert "api-reference" in assert_envelope(answer.text)["error"]["suggestion"]


async def test_a_wrong_method_is_405_and_names_the_right_one(call: Call) -> None:
    answer = await call("DELETE", SCAN)

    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"
    assert "POST" in assert_envelope(answer.text)["error"]["suggestion"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "universe is missing"),
        (b"not json", "not JSON"),
        (b'{"universe": ["BTC/USDT"], "condition": NaN}', "NaN is not a JSON number"),
        (b'{"universe": ["BTC/USDT"], "condition": -Infinity}', "-Infinity is not a JSON number"),
        (b'{"condition": "close > 1", "condition": "close > 2"}', "given twice"),
        (b"[]", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"universe": ' + b"9" * 5_000 + b"}", "too many digits"),
        (b'{"universe": ["BTC/USDT"], "condition": "\\ud800"}', "not text"),
        (b'{"universe": ["BTC/USDT"], "condition": "a\\u0000b"}', "not text"),
        (b" " * (MIB + 1), "larger than 1 MiB"),
    ],
    ids=[
        "empty",
        "text",
        "nan",
        "infinity",
        "key-twice",
        "list",
        "string",
        "not-utf8",
        "deep",
        "huge-number",
        "surrogate",
        "nul",
        "too-large",
    ],
)
async def test_a_hostile_body_is_one_validation_error(call: Call, body: bytes, says: str) -> None:
    answer = await call("POST", SCAN, content=body)

    error = assert_envelope(answer.text)["error"]
    assert (answer.status_code, error["code"]) == (400, "VALIDATION_ERROR")
    assert says in error["message"]


async def test_json_is_read_whatever_the_content_type_says(call: Call) -> None:
    body = json.dumps({"symbol": "BTC/USDT", "expression": "close[-1]"})

    for content_type in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-8"):
        answer = await call("POST", "/market/evaluate", content=body, headers={"Content-Type": content_type})
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "says"),
    [
        ("GET", "/market/tickers?limt=5", None, '"limt" is not an argument'),
        ("GET", "/market/tickers?limit=5&limit=6", None, '"limit" is given 2 times'),
        ("GET", "/market/tickers?limit=", None, "limit"),
        ("GET", "/meta/health?verbose=1", None, '"verbose" is not an argument'),
        ("POST", SCAN, {"universe": ["BTC/USDT"], "condition": "close > 0", "colour": "red"}, '"colour"'),
        ("POST", SCAN + "?condition=close", {"universe": ["BTC/USDT"]}, "in the query"),
    ],
)
async def test_an_unknown_or_repeated_parameter_is_refused(
    call: Call, method: str, path: str, body: dict[str, Any] | None, says: str
) -> None:
    answer = await call(method, path, content=json.dumps(body) if body else None)

    error = assert_envelope(answer.text)["error"]
    assert error["code"] == "VALIDATION_ERROR"
    assert says in error["message"]


async def test_a_misspelt_parameter_comes_with_the_right_name(call: Call) -> None:
    answer = await call("GET", "/market/tickers?limt=5")

    assert "Did you mean limit?" in answer.json()["error"]["suggestion"]


async def _break(_engine: Engine, _caller: ApiCaller, _request: HealthRequest) -> HealthResponse:
    raise RuntimeError("the password is hunter2")


async def _deny(_engine: Engine, _caller: ApiCaller, _request: HealthRequest) -> HealthResponse:
    raise Denied("a code that the API does not have")


async def _answer_nan(_engine: Engine, _caller: ApiCaller, _request: HealthRequest) -> HealthResponse:
    return HealthResponse.model_validate({"status": "ok", "load": float("nan")})


@pytest.mark.parametrize("handler", [_break, _deny, _answer_nan])
async def test_an_internal_error_is_logged_and_not_shown(
    engine: Engine, handler: Handler[HealthRequest, HealthResponse], caplog: pytest.LogCaptureFixture
) -> None:
    app = Starlette(routes=http_routes([route(META_HEALTH, handler)]))
    app.state.engine = engine
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://engine/api/v1") as client:
        answer = await client.get("/meta/health")

    error = assert_envelope(answer.text)["error"]
    assert (answer.status_code, error["code"]) == (500, "INTERNAL_ERROR")
    assert "hunter2" not in answer.text
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_every_code_has_a_status() -> None:
    assert set(HTTP_STATUS) == CODES


_json: st.SearchStrategy[Any] = st.deferred(
    lambda: (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text()
        | st.lists(_json, max_size=3)
        | st.dictionaries(st.text(max_size=5), _json, max_size=3)
    )
)


@given(st.dictionaries(st.text(max_size=8), _json, max_size=4))
def test_parsing_keeps_what_json_says(value: dict[str, Any]) -> None:
    assert parse_body(json.dumps(value).encode()) == value


@given(st.binary(max_size=200))
def test_no_bytes_break_the_parser(body: bytes) -> None:
    try:
        parsed = parse_body(body)
    except InvalidInput:
        return
    assert isinstance(parsed, dict)


@given(body=st.dictionaries(st.sampled_from(["universe", "condition", "exchange", "timeframe", "x"]), _json))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_object_gets_an_envelope_and_never_a_fault(call: Call, body: dict[str, Any]) -> None:
    answer = await call("POST", SCAN, content=json.dumps(body).encode())

    assert_envelope(answer.text)
    assert answer.status_code < 500
