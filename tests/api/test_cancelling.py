"""Cancelling is judged by its outcome, whatever the service answers along the way."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from api.client import Client, Retries, cancel_order
from api.errors import InvalidInput, NotFound, OutcomeUnknown, RateLimited
from api.orders import CancelRequest, Order
from api.transport import hosted

from .conftest import FakeService

REQUEST = CancelRequest(order_id="api-1")
GONE = b"HTTP/1.1 502 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.fixture
async def client(service: FakeService) -> AsyncGenerator[Client]:
    opened = Client(hosted(service.url), source="hosted", retries=Retries(attempts=1))
    yield opened
    await opened.aclose()


async def cancelled(client: Client, waits: list[float] | None = None) -> Order:
    """Cancel without waiting."""
    noted = [] if waits is None else waits

    async def note(seconds: float) -> None:
        noted.append(seconds)

    return await cancel_order(client, REQUEST, pause=note)


def lists(service: FakeService, **fields: Any) -> None:
    service.succeeds({"orders": [{"order_id": "api-0"}, {"order_id": "api-1", **fields}]})


async def test_a_lost_answer_is_asked_for_again(service: FakeService, client: Client) -> None:
    service.replies += [b"", GONE]
    service.succeeds({"order_id": "api-1", "status": "CANCELLED"})
    waits: list[float] = []

    assert (await cancelled(client, waits)).status == "CANCELLED"
    assert waits == [0.3, 1.0]
    assert [each.method for each in service.requests] == ["DELETE"] * 3


async def test_after_three_lost_answers_the_list_tells(service: FakeService, client: Client) -> None:
    service.replies += [GONE] * 3
    lists(service, status="CANCELLED")

    assert (await cancelled(client)).status == "CANCELLED"


@pytest.mark.parametrize("code", ["ORDER_NOT_FOUND", "VALIDATION_ERROR"])
async def test_an_order_that_was_cancelled_already_is_a_success(
    service: FakeService, client: Client, code: str
) -> None:
    service.fails(404 if code == "ORDER_NOT_FOUND" else 400, code)
    lists(service, status="CANCELLED")

    assert (await cancelled(client)).order_id == "api-1"
    assert [each.method for each in service.requests] == ["DELETE", "GET"]


async def test_an_order_that_the_list_shows_open_is_not_cancelled(service: FakeService, client: Client) -> None:
    service.replies += [GONE] * 3
    lists(service, status="OPEN")

    with pytest.raises(OutcomeUnknown):
        await cancelled(client)


async def test_an_order_that_was_filled_is_refused_as_the_service_says(service: FakeService, client: Client) -> None:
    service.fails(400, "VALIDATION_ERROR", "it is FILLED")
    lists(service, status="FILLED")

    with pytest.raises(InvalidInput, match="it is FILLED"):
        await cancelled(client)


async def test_an_unknown_order_is_not_found(service: FakeService, client: Client) -> None:
    service.fails(404, "ORDER_NOT_FOUND")
    service.succeeds({"orders": []})

    with pytest.raises(NotFound):
        await cancelled(client)


async def test_when_the_list_fails_too_the_first_error_is_reported(service: FakeService, client: Client) -> None:
    service.replies.append(GONE)

    with pytest.raises(OutcomeUnknown):
        await cancelled(client)


async def test_a_service_that_asks_for_a_long_pause_is_not_called_again(service: FakeService, client: Client) -> None:
    service.fails(429, "RATE_LIMITED", Retry_After="30")

    with pytest.raises(RateLimited):
        await cancelled(client)

    assert [each.method for each in service.requests] == ["DELETE", "GET"]
