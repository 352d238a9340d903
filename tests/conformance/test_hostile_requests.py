"""Any request to any endpoint gets an envelope with a documented code, never a fault or a traceback."""

from __future__ import annotations

import json
import re
from collections.abc import Generator

import httpx
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.catalogue import endpoint
from api.errors import CODES, HTTP_STATUS
from engine.access import LOCAL_AGENT
from engine.store.backtests import jobs_table
from engine.venues.paper.administration import Administration

from .conftest import settled
from .document import MARKET_OF
from .hostile import ENDED, FRESH, NAMES, bodies, requests
from .world import ROWS, Arguments, World

FEW = settings(
    max_examples=7,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
MANY = settings(FEW, max_examples=220)


@pytest.fixture(scope="module")
def wild(tmp_path_factory: pytest.TempPathFactory) -> Generator[World]:
    """A separate world, since some of the requests succeed."""
    with settled(tmp_path_factory.mktemp("wild")) as made:
        yield made


def assert_answered(name: str, sent: object, answer: httpx.Response) -> None:
    """Check the documented envelope: on success exactly the declared fields, else a documented code."""
    envelope = json.loads(answer.text, parse_constant=lambda constant: pytest.fail(f"{constant} in {answer.text}"))
    assert envelope.keys() == {"success", "data", "error", "meta"}
    assert "Traceback" not in answer.text
    assert envelope["meta"].keys() == {"timestamp"}
    if answer.status_code == 200:
        assert envelope["error"] is None
        assert endpoint(name).response.model_validate(envelope["data"]).model_extra == {}, sent
        return
    assert (envelope["success"], envelope["data"]) == (False, None)
    assert envelope["error"].keys() == {"code", "message", "suggestion"}
    code = envelope["error"]["code"]
    assert code in CODES - {"INTERNAL_ERROR"}, (name, sent)
    assert answer.status_code in {HTTP_STATUS[code], 404, 405}
    assert len(envelope["error"]["message"]) <= 2_000
    assert all(c == "\n" or c.isprintable() for c in envelope["error"]["message"] + envelope["error"]["suggestion"])


async def ask(world: World, name: str, call: Arguments) -> None:
    """Send a call, check the answer, and end any subscription that it created or failed to end."""
    if name in ENDED and call[ENDED[name]] == FRESH:
        call = {**call, ENDED[name]: (await world.ready(name))[ENDED[name]]}
    answer = await world.send(name, call)
    assert_answered(name, call, answer)
    if answer.status_code == 200:
        await world.tidy(name, answer.json()["data"])
    elif name == "live_unsubscribe" and call["subscription_id"].startswith("sub_"):
        await world.data(name, {"subscription_id": call["subscription_id"]})


@pytest.mark.parametrize("name", NAMES)
@FEW
@given(data=st.data())
async def test_any_request_is_answered(wild: World, name: str, data: st.DataObject) -> None:
    await ask(wild, name, data.draw(requests(wild, name)))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@MANY
@given(data=st.data())
async def test_ten_thousand_requests_are_answered(wild: World, name: str, data: st.DataObject) -> None:
    await ask(wild, name, data.draw(requests(wild, name)))


@pytest.mark.parametrize("name", [row.name for row in ROWS.values() if row.method in {"POST", "PUT", "PATCH"}])
@FEW
@given(body=bodies)
async def test_any_bytes_are_answered(wild: World, name: str, body: bytes) -> None:
    path = re.sub(r"\{\w+\}", "x", ROWS[name].path)
    answer = await wild.http(ROWS[name].method, path, headers={"X-API-Key": wild.local}, content=body)

    assert_answered(name, body, answer)


async def test_the_books_add_up_after_all_that(wild: World) -> None:
    books = Administration(wild.engine.store, wild.engine.clock, LOCAL_AGENT).verify(None)

    assert {account: problems for account, problems in books.items() if problems} == {}
    assert len(books) == len(MARKET_OF)


async def test_every_backtest_that_was_taken_ran(wild: World) -> None:
    jobs = await wild.engine.store.read(lambda c: c.execute(sa.select(jobs_table.c.id)).scalars().all())
    ended = [await wild.ended(job) for job in jobs]

    assert [status for status in ended if status["status"] not in {"completed", "cancelled"}] == []
