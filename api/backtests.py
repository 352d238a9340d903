"""The backtest section: execute a job, follow it, read its results."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, cast, get_args

from pydantic import Field, ValidationError, WithJsonSchema, field_validator, model_serializer, model_validator
from pydantic_core.core_schema import SerializerFunctionWrapHandler

from api.endpoint import Endpoint
from api.inputs import (
    UNIVERSE_KEYWORDS,
    Day,
    Identifier,
    Number,
    Request,
    Text,
    TimeframeInput,
    VenueInput,
    Whole,
    Words,
    address_universe,
    check_market_type,
    one_of,
    reject,
)
from api.refusals import refuse

from .backtest_results import (
    AnalysisResponse,
    CancelResponse,
    EquityResponse,
    ExecuteResponse,
    MetricsResponse,
    PerTickerResponse,
    RecentResponse,
    ResultsResponse,
    ScriptCheckResponse,
    StatusResponse,
    TradesResponse,
)
from .exchanges import DEFAULT_EXCHANGE, EXCHANGES, ExchangeId
from .strategies import SignalParameters, StrategyParameters, StrategyType, gather_parameters, parameters_model
from .symbols import exchange_id

MAX_SCRIPT: Final = 50_000
MAX_UNIVERSE: Final = 200

# Tools show these as plain types, which saves tokens; a refusal names the bound.
_NUMBER: Final = WithJsonSchema({"type": "number"})
_STRING: Final = WithJsonSchema({"type": "string"})

MarginMode = Literal["isolated", "cross"]
ModeInput = Annotated[MarginMode, one_of(get_args(MarginMode))]
Script = Annotated[Text, Field(min_length=1, max_length=MAX_SCRIPT), _STRING]
Note = Annotated[Text, Field(min_length=10, max_length=500), _STRING]
CurveResolution = Literal["thinned", "full"]
TradeSide = Literal["long", "short"]
TradeOrder = Literal["exit", "entry", "best", "worst", "longest"]


Cash = Annotated[Number, Field(gt=0, le=1e12), _NUMBER]
Leverage = Annotated[Number, Field(ge=1, le=100), _NUMBER]
Cost = Annotated[Number, Field(ge=0, lt=0.1), _NUMBER]
Share = Annotated[Number, Field(ge=0, le=1), _NUMBER]
Percent = Annotated[Number, Field(ge=0, le=1e6), _NUMBER]
Loss = Annotated[Number, Field(ge=0, lt=100), _NUMBER]
Tickers = Annotated[
    Words, Field(min_length=1, max_length=MAX_UNIVERSE), WithJsonSchema({"type": "array", "items": {"type": "string"}})
]


class ExecuteRequest(Request):
    """A strategy, what it trades and when."""

    strategy_type: Annotated[StrategyType, one_of(get_args(StrategyType))] = Field(description="signal takes a script.")
    script: Script | None = Field(None, description="Signal DSL. For cross_sectional: `alpha = ...`.")
    universe: Tickers = Field(description="EXCHANGE:BASE/QUOTE[:SETTLE]")
    start_date: Day = Field(description="UTC.")
    end_date: Day = Field(description="Inclusive.")
    description: Note | None = Field(None, description="10-500 chars.")
    experiment: Annotated[str, Field(pattern=r"^[\w .:-]{1,60}$"), WithJsonSchema({"type": "string"})] | None = Field(
        None, description="Groups variants tried."
    )
    exchange: VenueInput = Field(DEFAULT_EXCHANGE, description="The universe's.")
    timeframe: Annotated[TimeframeInput, WithJsonSchema({"type": "string"})] = Field("1h", description="4h, 1w.")
    initial_cash: Cash = Field(10_000.0, description="Quote currency.")
    leverage: Leverage = Field(1.0, description="Perpetuals.")
    trading_fee: Cost = Field(0.0005, description="Fraction.")
    slippage: Cost = Field(0.0005, description="Fraction.")
    max_volume_share: Share = Field(0.1, description="0: no limit.")
    stop_loss: Loss | None = Field(None, description="Portfolio, percent.")
    take_profit: Percent | None = Field(None, description="0: none.")
    mode: ModeInput = Field("isolated", description="Per ticker, or once.")
    parameters: Annotated[StrategyParameters | None, WithJsonSchema({"type": "object"})] = Field(
        None,
        description="dca: fixed_amount, interval. grid: grid_range_pct, grid_count. pair_trading: lookback, entry_z. "
        "cross_sectional: top_bottom_pct.",
    )

    @model_validator(mode="before")
    @classmethod
    def _typed_parameters(cls, body: Any) -> Any:
        """Read `parameters` (also given beside the others, as the service has them) by the strategy's own model."""
        if not isinstance(body, dict):
            return body
        fields = gather_parameters(cast("dict[str, Any]", body))
        model = parameters_model(fields.get("strategy_type"))
        given = fields.get("parameters")
        if model is None or (given is not None and not isinstance(given, dict)):
            return _with_tickers(fields)
        parameters = _read_parameters(model, cast("dict[str, Any]", given or {}))
        return _with_tickers({**_named_in(parameters), **fields, "parameters": parameters})

    @field_validator("stop_loss", "take_profit")
    @classmethod
    def _zero_is_none(cls, value: float | None) -> float | None:
        """A client that must fill in every number writes 0, which is not a possible limit of an account."""
        return value or None

    @model_validator(mode="after")
    def _complete(self) -> ExecuteRequest:
        """Refuse a strategy without what it needs."""
        wanted = self.strategy_type in ("signal", "cross_sectional")
        if wanted and self.script is None:
            raise reject(
                f"strategy_type {self.strategy_type!r} needs a script",
                "Read docs_read signal-dsl, write one and try it with script_check.",
            )
        if not wanted and self.script is not None:
            raise reject(
                f"strategy_type {self.strategy_type!r} writes its own script",
                "Leave script out, or use strategy_type 'signal'.",
            )
        if self.start_date > self.end_date:
            raise reject(f"start_date {self.start_date} is after end_date {self.end_date}", "Swap the two dates.")
        if isinstance(self.parameters, SignalParameters):
            check_market_type(self.exchange, self.parameters.market_type)
        _refuse_leverage(self.leverage, self.exchange)
        if self.strategy_type in ("pair_trading", "cross_sectional") and len(self.universe) < 2:
            raise reject(f"strategy_type {self.strategy_type!r} needs at least two tickers in universe", "Add tickers.")
        return self

    @model_serializer(mode="wrap")
    def _flat(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """On the wire the strategy's parameters are beside the other fields. `mode`, which API 1.0.4 lacks, is sent
        only if it differs from the default.
        """
        body: dict[str, Any] = serialise(self)
        body.pop("parameters", None)
        if self.mode == "isolated":
            body.pop("mode", None)
        return body if self.parameters is None else {**body, **self.parameters.model_dump(exclude_unset=True)}


def _with_tickers(body: Any) -> Any:
    """Write a universe as EXCHANGE:SYMBOL, whatever dialect it came in; a prefix names the exchange."""
    given: dict[str, Any] = address_universe(body)
    exchange = exchange_id(str(given.get("exchange") or DEFAULT_EXCHANGE))
    universe = given.get("universe")
    if exchange is None or not isinstance(universe, tuple):
        return body
    symbols = cast("tuple[str, ...]", universe)
    keyword = next((word for word in UNIVERSE_KEYWORDS if word in symbols), None)
    if keyword is not None:
        raise reject(
            f"holds {keyword}, a word for the market endpoints",
            "Name the tickers; market_tickers lists them.",
            field="universe",
        )
    return {**given, "universe": tuple(f"{EXCHANGES[exchange].prefix}:{symbol}" for symbol in symbols)}


def _read_parameters(model: type[Request], given: dict[str, Any]) -> Request:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        refusal = refuse("backtest_execute", model, error, given)
        raise reject(refusal.message, refusal.suggestion) from None


def _named_in(parameters: Request) -> dict[str, list[str]]:
    """The universe that strategy parameters name, for callers that leave it out."""
    named = (getattr(parameters, name, None) for name in ("ticker", "pair_a", "pair_b"))
    tickers = [ticker for ticker in named if ticker]
    return {"universe": tickers} if tickers else {}


class BacktestRequest(Request):
    """Names a job."""

    backtest_id: Identifier = Field(description="From backtest_execute.")


class ResultRequest(Request):
    """Names a result."""

    result_id: Identifier = Field(description="From backtest_status; not the backtest_id.")


class PageRequest(ResultRequest):
    """A page of a result's rows."""

    limit: Whole = Field(50, ge=1, le=1000, description="Rows per page.")
    offset: Whole = Field(0, ge=0, description="`next_offset` of the page before.")


class TradesRequest(PageRequest):
    """Which trades, and in which order."""

    additions = frozenset({"start_date", "end_date", "ticker", "side", "sort"})

    start_date: Day | None = Field(None, description="First day of entry.")
    end_date: Day | None = Field(None, description="Last.")
    ticker: Text | None = Field(None, description="Only this one.")
    side: Annotated[TradeSide, one_of(get_args(TradeSide))] | None = Field(None, description="Only this side.")
    sort: Annotated[TradeOrder, one_of(get_args(TradeOrder))] = Field("exit", description="By profit: best, worst.")

    @model_serializer(mode="wrap")
    def _documented(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Send options beyond API 1.0.4 only if they differ from the default."""
        body: dict[str, Any] = serialise(self)
        return {
            n: v for n, v in body.items() if n not in self.additions or (v is not None and (n, v) != ("sort", "exit"))
        }


class EquityRequest(ResultRequest):
    """The curve in at most `limit` points, or every bar page by page."""

    resolution: Annotated[CurveResolution, one_of(get_args(CurveResolution))] = Field(
        "thinned", description="`full`: every bar from `offset` on."
    )
    limit: Whole = Field(200, ge=2, le=10_000, description="Maximum points.")
    offset: Whole = Field(0, ge=0, description="First bar, when `full`.")


class RecentRequest(Request):
    """How many of the newest results."""

    limit: Whole = Field(50, ge=1, le=100, description="Maximum results.")


class ScriptCheckRequest(Request):
    """A script, and where it would run."""

    _tickers = model_validator(mode="before")(_with_tickers)

    script: Script = Field(description="Signal DSL.")
    universe: Tickers = Field(("BINANCE:BTC/USDT",), description="EXCHANGE:BASE/QUOTE.")
    exchange: VenueInput = Field(DEFAULT_EXCHANGE, description="The universe's.")
    timeframe: TimeframeInput = Field("1h", description="Bar.")
    mode: ModeInput = Field("isolated", description="As in backtest_execute.")
    leverage: Leverage | None = Field(None, description="Of the run.")
    start_date: Day | None = Field(None, description="With end_date: is the range longer than the warm-up?")
    end_date: Day | None = Field(None, description="Inclusive.")

    @model_validator(mode="after")
    def _leveraged(self) -> ScriptCheckRequest:
        """Refuse leverage where the market has none."""
        _refuse_leverage(self.leverage or 1.0, self.exchange)
        return self


def _refuse_leverage(leverage: float, exchange: ExchangeId) -> None:
    if leverage > 1 and EXCHANGES[exchange].market_type != "perpetual":
        raise reject(
            f"is only for perpetuals, and {exchange} trades {EXCHANGES[exchange].market_type}",
            "Use leverage 1, or perpetual tickers such as BINANCEFUTURESUSD:BTC/USDT:USDT.",
            field="leverage",
        )


BACKTEST_EXECUTE: Final = Endpoint(
    name="backtest_execute",
    method="POST",
    path="/backtest/execute",
    scope="research",
    request=ExecuteRequest,
    response=ExecuteResponse,
    summary="Queue a backtest of a script or of a ready strategy.",
    at_most_once=True,
)
BACKTEST_STATUS: Final = Endpoint(
    name="backtest_status",
    method="GET",
    path="/backtest/status/{backtest_id}",
    scope="research",
    request=BacktestRequest,
    response=StatusResponse,
    summary="How far a job is, and its result_id once completed.",
)
BACKTEST_CANCEL: Final = Endpoint(
    name="backtest_cancel",
    method="POST",
    path="/backtest/cancel/{backtest_id}",
    scope="research",
    request=BacktestRequest,
    response=CancelResponse,
    summary="Stop a queued or running job.",
)
BACKTEST_RESULTS: Final = Endpoint(
    name="backtest_results",
    method="GET",
    path="/backtest/results/{result_id}",
    scope="research",
    request=ResultRequest,
    response=ResultsResponse,
    summary="Summary and key metrics.",
)
BACKTEST_METRICS: Final = Endpoint(
    name="backtest_metrics",
    method="GET",
    path="/backtest/results/{result_id}/metrics",
    scope="research",
    request=ResultRequest,
    response=MetricsResponse,
    summary="Every metric.",
)
BACKTEST_PER_TICKER: Final = Endpoint(
    name="backtest_per_ticker",
    method="GET",
    path="/backtest/results/{result_id}/per-ticker",
    scope="research",
    request=PageRequest,
    response=PerTickerResponse,
    summary="Each ticker's share of the result.",
)
BACKTEST_TRADES: Final = Endpoint(
    name="backtest_trades",
    method="GET",
    path="/backtest/results/{result_id}/trades",
    scope="research",
    request=TradesRequest,
    response=TradesResponse,
    summary="The trade history, page by page.",
)
BACKTEST_EQUITY: Final = Endpoint(
    name="backtest_equity",
    method="GET",
    path="/backtest/results/{result_id}/equity",
    scope="research",
    request=EquityRequest,
    response=EquityResponse,
    summary="The equity curve.",
)
BACKTEST_ANALYSIS: Final = Endpoint(
    name="backtest_analysis",
    method="GET",
    path="/backtest/results/{result_id}/analysis",
    scope="research",
    request=ResultRequest,
    response=AnalysisResponse,
    summary="What drove the result and how far to trust it.",
)
BACKTEST_RECENT: Final = Endpoint(
    name="backtest_recent",
    method="GET",
    path="/backtest/results",
    scope="research",
    request=RecentRequest,
    response=RecentResponse,
    summary="Your newest results.",
    documented=False,
)
SCRIPT_CHECK: Final = Endpoint(
    name="script_check",
    method="POST",
    path="/backtest/validate",
    scope="research",
    request=ScriptCheckRequest,
    response=ScriptCheckResponse,
    summary="Every error and warning of a script, and its plan in words.",
    documented=False,
)
