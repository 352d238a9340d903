"""The same answers through the API client as typed models; the same refusals as errors, classed by who must act."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal

import pytest
from pydantic import SecretStr

from api import market, meta
from api.client import Client
from api.errors import InvalidInput, NotAuthorised, NotFound, RateLimited
from api.times import AcceleratedClock
from api.transport import embedded
from engine.engine import Engine
from engine.routes import create_app


@pytest.fixture
async def client(engine: Engine) -> AsyncIterator[Client]:
    """The in-process client with this machine's key."""
    opened = Client(embedded(create_app(engine), SecretStr(await engine.access.local_key())), source="embedded")
    yield opened
    await opened.aclose()


async def test_meta(client: Client) -> None:
    registered = await client.call(meta.META_REGISTER, meta.RegisterRequest.model_validate({"display_name": "Bot"}))
    capabilities = await client.call(meta.META_CAPABILITIES, meta.CapabilitiesRequest())
    indicators = await client.call(meta.META_INDICATORS, meta.IndicatorsRequest.model_validate({"search": "rsi"}))
    health = await client.call(meta.META_HEALTH, meta.HealthRequest())

    assert registered.scopes == ("research",)
    assert "market_scan" in {e.name for e in capabilities.endpoints}
    assert "rsi" in {word.name for word in indicators.indicators}
    assert (health.source, health.data) == ("embedded", "simulated")


async def test_market(client: Client) -> None:
    tickers = await client.call(market.MARKET_TICKERS, market.TickersRequest.model_validate({"limit": 3}))
    candles = await client.call(
        market.MARKET_OHLCV, market.OhlcvRequest.model_validate({"symbol": "BTC/USDT", "limit": 3})
    )
    value = await client.call(
        market.MARKET_EVALUATE,
        market.EvaluateRequest.model_validate({"symbol": "BTC/USDT", "expression": "rsi(close, 14)[-1]"}),
    )
    scan = await client.call(
        market.MARKET_SCAN, market.ScanRequest.model_validate({"universe": ("top30",), "condition": "close > 0"})
    )
    rank = await client.call(
        market.MARKET_RANK, market.RankRequest.model_validate({"universe": ("top30",), "expression": "roc(close, 7)"})
    )

    assert isinstance(tickers.tickers[0].tick_size, Decimal)
    assert tickers.tickers[0].price == Decimal(str(candles.candles[-1][4]))
    assert isinstance(value.value, float)
    assert 0 < value.value < 100
    assert len(scan.matched) == scan.scanned_count == 30
    assert len(rank.ranked) == 20


async def test_docs(client: Client) -> None:
    listed = await client.call(meta.DOCS_LIST, meta.DocsRequest())
    reference = await client.call(meta.DOCS_API_REFERENCE, meta.DocsRequest())

    assert [d.slug for d in listed.documents] == ["signal-dsl", "operators", "data", "api-reference"]
    assert reference.content is not None
    assert reference.content.startswith("# HeyTraders API reference")


async def test_refusals_are_classed_by_who_must_act(
    engine: Engine, client: Client, register: Callable[..., Awaitable[str]], clock: AcceleratedClock
) -> None:
    with pytest.raises(NotFound) as unknown:
        await client.call(market.MARKET_OHLCV, market.OhlcvRequest.model_validate({"symbol": "NOSUCH/USDT"}))
    with pytest.raises(InvalidInput) as misspelt:
        await client.call(
            market.MARKET_EVALUATE,
            market.EvaluateRequest.model_validate({"symbol": "BTC/USDT", "expression": "rsii(close)"}),
        )
    expiring = Client(embedded(create_app(engine), SecretStr(await register("127.0.0.1"))), source="embedded")
    clock.advance(2 * 86_400)
    with pytest.raises(NotAuthorised) as expired:
        await expiring.call(meta.META_CAPABILITIES, meta.CapabilitiesRequest())
    await expiring.aclose()

    assert (unknown.value.code, misspelt.value.code, expired.value.code) == (
        "DATA_UNAVAILABLE",
        "VALIDATION_ERROR",
        "EXPIRED_API_KEY",
    )


async def test_a_used_up_quota_says_how_long_to_wait(client: Client) -> None:
    for _ in range(5):
        await client.call(meta.META_REGISTER, meta.RegisterRequest.model_validate({"display_name": "Bot"}))

    with pytest.raises(RateLimited) as refused:
        await client.call(meta.META_REGISTER, meta.RegisterRequest.model_validate({"display_name": "Bot"}))

    assert refused.value.retry_after == 3_600
