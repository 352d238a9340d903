"""The API key appears nowhere: output, logs, reprs, errors, exception chains, or tracebacks with locals."""

from __future__ import annotations

import logging
import traceback
from typing import Any, Protocol

import pytest
from pydantic import SecretStr

from api.client import Client, Retries
from api.errors import HeyTradersError, explain
from api.meta import META_HEALTH, META_REGISTER, HealthRequest, RegisterRequest, RegisterResponse
from api.orders import ORDERS_PLACE, PlaceRequest
from api.transport import Timeouts, embedded, hosted

CANARY = "ht_canary_5f1c9e7a20b84d63"
PLACE = PlaceRequest.model_validate(
    {"account_id": "acc-123", "exchange": "binance", "symbol": "BTC/USDT", "side": "buy", "amount": 1}
)


class Service(Protocol):
    """The parts of the fake service that these tests use."""

    url: str
    replies: list[bytes]
    hang: bool
    requests: list[Any]

    def fails(self, status: int, code: str, message: str = "", suggestion: str = "", **headers: str) -> None: ...
    def succeeds(self, data: Any) -> None: ...


def raw(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


REPLIES = {
    "quoted in the error": raw(
        401,
        f'{{"success":false,"error":{{"code":"INVALID_API_KEY","message":"{CANARY} is wrong"}}}}'.encode(),
    ),
    "quoted as the code": raw(400, f'{{"success":false,"error":{{"code":"{CANARY.upper()}"}}}}'.encode()),
    "quoted in HTML": raw(502, f"<html>{CANARY}</html>".encode()),
    "quoted in a redirect": raw(302, b"", f"Location: https://evil.example/?key={CANARY}"),
    "quoted in a host to redirect to": raw(302, b"", f"Location: https://{CANARY}.example/"),
    "quoted in a field name": raw(200, f'{{"success":true,"data":{{"order_id":["{CANARY}"],"status":[1]}}}}'.encode()),
    "quoted in a broken status line": f"HTTP/1.1 {CANARY}\r\n\r\n".encode(),
    "cut off": raw(200, b"{").replace(b"Length: 1", b"Length: 99"),
    "nothing": b"",
}


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
@pytest.mark.parametrize("order", [False, True], ids=["read", "order"])
async def test_no_failure_shows_the_key(
    service: Service, reply: bytes, order: bool, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    service.replies.append(reply)
    client = _client(service)

    error = await _failure(client, order=order)

    shown = [repr(client), str(vars(client)), caplog.text, *_everything_about(error), *capfd.readouterr()]
    assert service.requests[0].headers["x-api-key"] == CANARY
    assert not [text for text in shown if CANARY in text or CANARY.upper() in text]


async def test_a_stalling_service_and_a_missing_one_do_not_show_the_key(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    service.replies.append(b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n{")
    service.hang = True
    stalled = await _failure(_client(service, read=0.1), order=True)
    service.url = "http://127.0.0.1:1/api/v1"
    missing = await _failure(_client(service), order=True)

    shown = [caplog.text, *_everything_about(stalled), *_everything_about(missing)]
    assert not [text for text in shown if CANARY in text]


async def test_a_key_quoted_in_a_success_is_masked(service: Service) -> None:
    service.succeeds({"status": f"hello {CANARY}"})
    client = _client(service)

    health = await client.call(META_HEALTH, HealthRequest())
    await client.aclose()

    assert health.status == "hello [API key]"


async def test_a_newly_registered_key_is_readable_but_not_in_the_repr(service: Service) -> None:
    service.succeeds({"api_key": "ht_prov_new_0123456789", "agent_id": "ag_1", "quota": {}, "scopes": ["research"]})
    client = _client(service)

    made = await client.call(META_REGISTER, RegisterRequest.model_validate({"display_name": "My Bot"}))
    await client.aclose()

    assert isinstance(made, RegisterResponse)
    assert made.api_key == "ht_prov_new_0123456789"
    assert "ht_prov" not in repr(made)


async def test_the_embedded_engine_gets_the_key_and_does_not_show_it() -> None:
    seen: list[dict[bytes, bytes]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del receive
        seen.append(dict(scope["headers"]))
        await send({"type": "http.response.start", "status": 500, "headers": []})
        raise RuntimeError(f"crashed with {CANARY}")

    client = Client(embedded(app, SecretStr(CANARY)), source="embedded")

    error = await _failure(client, order=False)

    assert seen[0][b"x-api-key"] == CANARY.encode()
    assert not [text for text in _everything_about(error) if CANARY in text]


def _client(service: Service, *, read: float = 20) -> Client:
    wire = hosted(service.url, SecretStr(CANARY), timeouts=Timeouts(connect=20, read=read, total=40))
    return Client(wire, source="hosted", retries=Retries(attempts=1))


async def _failure(client: Client, *, order: bool) -> HeyTradersError:
    try:
        if order:
            await client.call(ORDERS_PLACE, PLACE)
        else:
            await client.call(META_HEALTH, HealthRequest())
    except HeyTradersError as error:
        return error
    finally:
        await client.aclose()
    pytest.fail("the call succeeded")


def _everything_about(error: BaseException) -> list[str]:
    """Everything that a log, a debugger or a crash report could print about an error and its causes."""
    texts: list[str] = []
    link: BaseException | None = error
    while link is not None:
        texts += [repr(link), str(link), str(vars(link))]
        if isinstance(link, HeyTradersError):
            texts.append(explain(link))
        own = [frame for frame, _ in traceback.walk_tb(link.__traceback__) if "/api/" in frame.f_code.co_filename]
        texts += [f"{name}={value!r}" for frame in own for name, value in frame.f_locals.items() if name != "CANARY"]
        link = link.__cause__ or link.__context__
    return texts
