"""The market section: what can be traded, its candles, and expressions over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, cast

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from api.endpoint import Endpoint
from api.inputs import (
    ExchangeInput,
    MarketTypeInput,
    Moment,
    OrderInput,
    Request,
    Text,
    TimeframeInput,
    Whole,
    address_symbol,
    address_universe,
    check_market_type,
    exchange_of,
    listed,
    reject,
)
from api.outputs import TABLE, Candle, ReportedMoney, Response, SymbolName, Time, listed_as

from .errors import fold
from .exchanges import DEFAULT_EXCHANGE, EXCHANGES, MARKET_TYPE_ALIASES, USUAL_EXCHANGE, ExchangeId

MAX_EXPRESSION: Final = 2000
MAX_EXPRESSIONS: Final = 20
MAX_UNIVERSE: Final = 500

MarketSymbol = Annotated[str, Field(max_length=200, description="e.g. BTC/USDT; Polymarket: token id.")]
Universe = Annotated[
    tuple[str, ...],
    Field(
        min_length=1,
        max_length=MAX_UNIVERSE,
        description="Symbols, e.g. BTC/USDT, or top30, top50, top100, trending, defi.",
        examples=[["BTC/USDT", "ETH/USDT"], ["top30"]],
    ),
    BeforeValidator(listed),
]


def _expressions(value: object) -> object:
    """A list, also as JSON text; a single text is one expression, commas and all."""
    return (value,) if isinstance(value, str) and not value.strip().startswith("[") else listed(value)


ExchangeArgument = Annotated[
    ExchangeInput, WithJsonSchema({"type": "string"}), Field(description="Where; a prefix in the symbol sets it too.")
]
BarLength = Annotated[TimeframeInput, Field(description="Bar length.")]
Expression = Annotated[str, Field(min_length=1, max_length=MAX_EXPRESSION)]


def _usual(word: str) -> ExchangeId | None:
    """The usual exchange for a market type in any of its spellings."""
    wanted = MARKET_TYPE_ALIASES.get(word, word)
    return next((exchange for market_type, exchange in USUAL_EXCHANGE.items() if market_type == wanted), None)


def _fill_market_type(data: Any) -> Any:
    """Set `market_type` to the exchange's only one; alone, `market_type` chooses the exchange."""
    if not isinstance(data, Mapping):
        return data
    given = dict(cast("Mapping[str, Any]", data))
    exchange, readable = exchange_of(given)
    wanted = given.get("market_type")
    if not readable:
        return given
    if wanted is None:
        return {**given, "market_type": EXCHANGES[exchange or DEFAULT_EXCHANGE].market_type}
    if exchange is None and isinstance(wanted, str):
        exchange = _usual(fold(wanted[:100]))
        return {**given, "exchange": exchange} if exchange else given
    return given


class TickersRequest(Request):
    """Filters; without any, the largest markets of Binance."""

    exchange: Annotated[ExchangeInput, Field(description="Which one.")] = DEFAULT_EXCHANGE
    market_type: MarketTypeInput | None = Field(None, description="Each exchange has one; default: its own.")
    category: Text | None = Field(None, min_length=1, max_length=50, description="e.g. top_market_cap, trending.")
    sector: Text | None = Field(None, min_length=1, max_length=50, description="e.g. DeFi, L1, AI.")
    search: Text | None = Field(None, min_length=1, max_length=100, description="Part of a symbol or market title.")
    limit: Whole = Field(50, ge=1, le=500, description="Maximum number of symbols.")

    _fill = model_validator(mode="before")(_fill_market_type)

    @model_validator(mode="after")
    def _one_market_type(self) -> TickersRequest:
        check_market_type(self.exchange, self.market_type)
        return self


class Ticker(Response):
    """A tradable symbol."""

    symbol: str | None = Field(None, description="For orders and market calls.")
    ticker: str | None = Field(None, description="For scripts and backtest universes.")
    exchange: str | None = Field(None, description="Exchange id.")
    market_type: str | None = Field(None, description="spot, perpetual or prediction.")
    rank: int | None = Field(None, description="1 is the largest on its exchange.")
    sector: str | None = Field(None, description="e.g. DeFi.")
    categories: tuple[str, ...] | None = Field(None, description="e.g. trending.")
    price: ReportedMoney | None = Field(None, description="Last close, quote currency; probability on Polymarket.")
    as_of: Time | None = Field(None, description="When the bar of that close ended.")
    change_24h_pct: float | None = Field(None, description="Percent.")
    volume_24h: float | None = Field(None, description="Quote currency.")
    tick_size: ReportedMoney | None = Field(None, description="Price step, quote currency.")
    lot_size: ReportedMoney | None = Field(None, description="Amount step, base units.")
    bid: ReportedMoney | None = Field(None, description="Best, live.")
    ask: ReportedMoney | None = Field(None, description="Best, live.")
    min_notional: ReportedMoney | None = Field(None, description="Smallest order, quote currency.")
    taker_fee: ReportedMoney | None = Field(None, description="Share of the amount paid.")
    title: str | None = Field(None, description="The question, on Polymarket.")
    resolves_at: Time | None = Field(None, description="When a prediction market ends, ISO 8601.")
    source: str | None = Field(None, description="imported, exchange or simulated candles.")


class TickersResponse(Response):
    """Tradable symbols, largest first."""

    exchange: str | None = Field(None, description="Exchange id.")
    tickers: Annotated[tuple[Ticker, ...], TABLE] = Field((), description="Largest first.")
    total: int | None = Field(None, description="How many match, before the limit.")

    _bare_list = model_validator(mode="before")(listed_as("tickers"))


class OhlcvRequest(Request):
    """Which candles."""

    symbol: MarketSymbol
    exchange: ExchangeArgument = DEFAULT_EXCHANGE
    timeframe: BarLength = "1h"
    start: Moment | None = Field(None, description="First open time, ISO or unix; default: the latest candles.")
    end: Moment | None = Field(None, description="Open times before this.")
    limit: Whole = Field(100, ge=1, le=1000, description="Maximum candles.")

    _address = model_validator(mode="before")(address_symbol)


class OhlcvResponse(Response):
    """Closed candles, oldest first."""

    symbol: str | None = Field(None, description="As resolved.")
    exchange: str | None = Field(None, description="Exchange id.")
    timeframe: str | None = Field(None, description="Bar length.")
    source: str | None = Field(None, description="imported, exchange or simulated.")
    candles: tuple[Candle, ...] = Field(
        (), description="Rows [open time ISO 8601 UTC, open, high, low, close, volume]; volume in base units."
    )
    next_start: Time | None = Field(None, description="Pass as start for the candles after these; null at the end.")
    previous_end: Time | None = Field(None, description="Pass as end for the candles before these.")
    missing: int | None = Field(None, description="Bars that the data lacks between the first candle and the last.")
    partial: tuple[Time, ...] | None = Field(None, description="Open times of candles made of incomplete shorter bars.")

    _bare_list = model_validator(mode="before")(listed_as("candles"))


class EvaluateRequest(Request):
    """One expression or several on one symbol, on the last closed bar or as of a moment."""

    additions = frozenset({"expressions", "as_of"})

    symbol: MarketSymbol
    exchange: ExchangeArgument = DEFAULT_EXCHANGE
    timeframe: BarLength = "1h"
    expression: Annotated[Expression | None, WithJsonSchema({"type": "string"})] = Field(
        None, description="Signal DSL, e.g. rsi(close, 14)[-1].", examples=["rsi(close, 14)[-1]"]
    )
    expressions: Annotated[
        tuple[Expression, ...] | None,
        Field(min_length=1, max_length=MAX_EXPRESSIONS),
        BeforeValidator(_expressions),
        WithJsonSchema({"type": "array", "items": {"type": "string"}}),
    ] = Field(None, description="Several instead, up to 20.")
    as_of: Moment | None = Field(None, description="Only bars closed by then, ISO or unix; default: now.")

    _address = model_validator(mode="before")(address_symbol)

    @model_validator(mode="after")
    def _one_or_several(self) -> EvaluateRequest:
        if self.expression is None and self.expressions is None:
            raise reject("is missing", "Write e.g. rsi(close, 14), or a list as expressions.", field="expression")
        if self.expression is not None and self.expressions is not None:
            raise reject("is given together with expression", "Put all of them into expressions.", field="expressions")
        return self


class Evaluated(Response):
    """The value of one of several expressions."""

    expression: str | None = Field(None, description="As evaluated.")
    value: bool | float | None = Field(None, description="Null where it is undefined.")
    bars_used: int | None = Field(None, description="Bars of history behind the value.")
    as_of: Time | None = Field(None, description="Where its last bar closed at another time than the answer's as_of.")
    note: str | None = Field(None, description="Why there is no value, or how far to trust it.")


class EvaluateResponse(Response):
    """The value on the last closed bar."""

    symbol: str | None = Field(None, description="As resolved.")
    exchange: str | None = Field(None, description="Exchange id.")
    timeframe: str | None = Field(None, description="Bar length.")
    expression: str | None = Field(None, description="As evaluated.")
    value: bool | float | None = Field(None, description="Null where it is undefined.")
    price: float | None = Field(None, description="Close of that bar, quote currency.")
    as_of: Time | None = Field(None, description="When the bar closed, ISO 8601 UTC.")
    bars_used: int | None = Field(None, description="Bars of history behind the value.")
    source: str | None = Field(None, description="imported, exchange or simulated.")
    note: str | None = Field(None, description="e.g. that an indicator was still warming up.")
    values: Annotated[tuple[Evaluated, ...] | None, TABLE] = Field(None, description="Of expressions.")


class ScanRequest(Request):
    """A condition over a universe."""

    universe: Universe
    exchange: ExchangeArgument = DEFAULT_EXCHANGE
    timeframe: BarLength = "1h"
    condition: Expression = Field(
        description="True or false, e.g. rsi(close, 14) < 30 and volume > sma(volume, 20).",
        examples=["rsi(close, 14) < 30 and volume > sma(volume, 20)"],
    )

    _address = model_validator(mode="before")(address_universe)


class Failure(Response):
    """A symbol that could not be evaluated."""

    symbol: SymbolName
    error: str | None = Field(None, description="Why not.")


class ScanDetail(Response):
    """What the condition saw on one symbol."""

    symbol: SymbolName
    matched: bool | None = Field(None, description="Whether the condition holds.")
    price: float | None = Field(None, description="Last close, quote currency.")
    values: dict[str, bool | float | None] | None = Field(None, description="Parts of the condition.")
    as_of: Time | None = Field(None, description="Where its last bar closed earlier than the answer's as_of: when.")
    error: str | None = Field(None, description="Why it could not be evaluated.")


class ScanResponse(Response):
    """Symbols on which the condition holds on the last closed bar."""

    matched: tuple[SymbolName, ...] = Field((), description="Symbols where it holds.")
    details: Annotated[tuple[ScanDetail, ...], TABLE] = Field((), description="Up to 40 symbols, matched ones first.")
    details_omitted: int | None = Field(None, description="Symbols without details; matched is complete.")
    scanned_count: int | None = Field(None, description="Symbols evaluated.")
    failed: Annotated[tuple[Failure, ...], TABLE] = Field((), description="Symbols without an answer, up to 40.")
    failed_count: int | None = Field(None, description="How many those are.")
    exchange: str | None = Field(None, description="Exchange id.")
    timeframe: str | None = Field(None, description="Bar length.")
    as_of: Time | None = Field(None, description="When the last bar closed, ISO 8601 UTC.")
    source: str | None = Field(None, description="imported, exchange, simulated, or mixed.")
    note: str | None = Field(None, description="e.g. whose last bar is incomplete.")


class RankRequest(Request):
    """An expression to order a universe by."""

    universe: Universe
    exchange: ExchangeArgument = DEFAULT_EXCHANGE
    timeframe: BarLength = "1h"
    expression: Expression = Field(description="A number, e.g. roc(close, 7).", examples=["roc(close, 7)"])
    order: OrderInput = Field("desc", description="desc: largest first.")
    limit: Whole = Field(20, ge=1, le=MAX_UNIVERSE, description="Maximum number of symbols.")

    _address = model_validator(mode="before")(address_universe)


class Ranked(Response):
    """A place in the ranking."""

    rank: int | None = Field(None, description="1 is first.")
    symbol: SymbolName
    score: float | None = Field(None, description="Value of the expression.")
    price: float | None = Field(None, description="Last close, quote currency.")
    as_of: Time | None = Field(None, description="Where its last bar closed earlier than the answer's as_of: when.")


class RankResponse(Response):
    """The universe in order of the expression on the last closed bar."""

    ranked: Annotated[tuple[Ranked, ...], TABLE] = Field((), description="Best first.")
    ranked_count: int | None = Field(None, description="Symbols with a score, before the limit.")
    failed: Annotated[tuple[Failure, ...], TABLE] = Field((), description="Symbols without a score, up to 40.")
    failed_count: int | None = Field(None, description="How many those are.")
    exchange: str | None = Field(None, description="Exchange id.")
    timeframe: str | None = Field(None, description="Bar length.")
    as_of: Time | None = Field(None, description="When the last bar closed, ISO 8601 UTC.")
    source: str | None = Field(None, description="imported, exchange, simulated, or mixed.")
    note: str | None = Field(None, description="e.g. whose last bar is incomplete.")

    _bare_list = model_validator(mode="before")(listed_as("ranked"))


MARKET_TICKERS: Final = Endpoint(
    "market_tickers",
    "GET",
    "/market/tickers",
    None,
    TickersRequest,
    TickersResponse,
    "List tradable symbols, filtered by category, sector or words.",
)
MARKET_OHLCV: Final = Endpoint(
    "market_ohlcv", "GET", "/market/ohlcv", "research", OhlcvRequest, OhlcvResponse, "OHLCV candles of a symbol."
)
MARKET_EVALUATE: Final = Endpoint(
    "market_evaluate",
    "POST",
    "/market/evaluate",
    "research",
    EvaluateRequest,
    EvaluateResponse,
    "Evaluate expressions on one symbol.",
)
MARKET_SCAN: Final = Endpoint(
    "market_scan",
    "POST",
    "/market/scan",
    "research",
    ScanRequest,
    ScanResponse,
    "Filter symbols by a condition.",
)
MARKET_RANK: Final = Endpoint(
    "market_rank",
    "POST",
    "/market/rank",
    "research",
    RankRequest,
    RankResponse,
    "Order symbols by an expression.",
)
