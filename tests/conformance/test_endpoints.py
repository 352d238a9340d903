"""Every row of the endpoint tables: declared, served, guarded by a key where required, and offered as a tool."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import SecretStr

from api.catalogue import ENDPOINTS, endpoint
from api.client import Client
from api.transport import embedded
from engine.access import LOCAL_AGENT
from engine.routes import create_app
from safety.face import DialogAnswer
from safety.gate import Gate
from safety.ledger import Ledger
from server.channels import Reached, local_channels
from server.gate import build_gate_context
from server.settings import Settings
from tools.context import ServerMode, ToolContext
from tools.snapshot import load
from tools.surface import TOOLSETS, exposed

from .document import ANSWERS, JOB_STATUSES, MARKET_OF, SYMBOL_OF, EndpointRow
from .document import ENDPOINTS as ROWS
from .world import World

TOOLS = {row.name: row for row in exposed()}


def _shape(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


def test_the_47_rows_are_declared_in_the_order_of_the_document() -> None:
    declared = [(e.method, _shape(e.path), e.scope is not None, e.name) for e in ENDPOINTS if e.documented]

    assert len(ROWS) == 47
    assert declared == [(row.method, _shape(row.path), row.needs_key, row.name) for row in ROWS]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_the_engine_answers_as_declared(world: World, row: EndpointRow) -> None:
    data = await world.data(row.name, await world.ready(row.name), key="local" if row.needs_key else None)

    declared = endpoint(row.name).response
    assert declared.model_validate(data).model_extra == {}
    assert data


@pytest.mark.parametrize("row", [row for row in ROWS if row.needs_key], ids=lambda row: row.name)
@pytest.mark.parametrize("key", [None, "ht_local_no-such-key"], ids=["no key", "wrong key"])
async def test_a_key_is_needed_where_the_document_says_so(world: World, row: EndpointRow, key: str | None) -> None:
    call = {**dict.fromkeys(endpoint(row.name).path_fields, "x"), **world.call(row.name)}

    assert (await world.refusal(row.name, call, key=key))[0] == "INVALID_API_KEY"


class _Forgets:
    """Keeps no key."""

    def save(self, api_key: str) -> str:
        return f"nowhere, all {len(api_key)} characters"


class _Nobody:
    """Has no dialog."""

    available = False

    async def ask(self, intent_id: str, question: str) -> DialogAnswer:
        raise AssertionError(f"{intent_id} was asked about: {question}")

    async def tell(self, done: float, total: float, message: str) -> None:
        del done, total, message


async def _unheard(done: float, total: float | None, message: str | None) -> None:
    del done, total, message


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_a_tool_makes_the_call(world: World, row: EndpointRow, tmp_path: Path) -> None:
    client = Client(embedded(create_app(world.engine), SecretStr(world.local)), source="embedded")
    ledger = Ledger.open(tmp_path)
    channels = local_channels(tmp_path, world.engine.venues.paper(LOCAL_AGENT).account)

    async def same() -> Client:
        return client

    async def gate() -> Gate:
        return Gate.of(build_gate_context(Settings(home=tmp_path), Reached(client, channels), ledger))

    facts = ServerMode("embedded", read_only=False, toolsets=TOOLSETS)
    desk = ToolContext(client, same, facts, _Forgets(), _unheard, gate, _Nobody(), "a test")
    operation = TOOLS[row.tool].operation()
    call = await world.ready(row.name)
    if row.tool == "docs_read":
        call = {"slug": row.path.rpartition("/")[2]}
    answer = await operation.run(desk, operation.request.model_validate(call))
    await client.aclose()
    ledger.close()

    assert load(row.tool)["inputSchema"]["properties"].keys() >= call.keys()
    assert answer.model_dump(exclude_none=True)


@pytest.mark.parametrize(("name", "path"), [(name, path) for name in ANSWERS for path in ANSWERS[name]])
async def test_an_answer_has_the_documented_fields(world: World, name: str, path: str) -> None:
    call = await world.ready(name)
    if name == "accounts_balances":
        call["account_id"] = "paper-polymarket"
    answer: Any = await world.data(name, call)
    for part in path.split("."):
        row: dict[str, Any] = cast("list[Any]", answer)[0] if isinstance(answer, list) else answer
        assert part in row
        answer = row[part]


def test_job_statuses_are_the_documented_ones() -> None:
    schema = endpoint("backtest_status").response.model_json_schema()

    assert schema["properties"]["status"]["enum"] == list(JOB_STATUSES)


@pytest.mark.parametrize(("exchange", "market"), MARKET_OF.items())
async def test_every_exchange_lists_what_the_document_says_it_trades(world: World, exchange: str, market: str) -> None:
    tickers = (await world.data("market_tickers", {"exchange": exchange, "limit": 500}))["tickers"]

    assert {ticker["market_type"] for ticker in tickers} == {market}
    assert SYMBOL_OF.get(exchange, world.token) in {ticker["symbol"] for ticker in tickers}
