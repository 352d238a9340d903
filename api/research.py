"""Research endpoints that only the engine has, not API 1.0.4: sweeps, list of backtests, comparison, reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, cast, get_args

from pydantic import Discriminator, Field, Tag, WithJsonSchema, model_validator

from api.endpoint import Endpoint
from api.inputs import Identifier, Number, Request, Text, Whole, one_of, reject
from api.outputs import TABLE, Response, Time

from .backtest_results import JobStatus
from .backtests import Cash, ExecuteRequest, Note

MAX_VARIANTS: Final = 20_000
Objective = Literal["sharpe_ratio", "sortino_ratio", "calmar_ratio", "total_return_pct"]
SearchMethod = Literal["grid", "random"]
_WHOLE: Final = WithJsonSchema({"type": "integer"})
_TEXT: Final = WithJsonSchema({"type": "string"})
_OBJECT: Final = WithJsonSchema({"type": "object"})


class Range(Request):
    """Values from `low` to `high`, both included."""

    low: Number
    high: Number
    step: Annotated[Number, Field(gt=0)]


def _kind_of_values(given: object) -> str:
    return "range" if isinstance(given, dict | Range) else "values"


_Values = Annotated[
    Annotated[tuple[Number, ...], Tag("values")] | Annotated[Range, Tag("range")], Discriminator(_kind_of_values)
]


class WalkForwardTerms(Request):
    """Choose on `train_days`, trade the next `test_days`, move on. `anchored`: training always begins at the start."""

    train_days: Annotated[Whole, Field(ge=1, le=10_000), _WHOLE]
    test_days: Annotated[Whole, Field(ge=1, le=10_000), _WHOLE]
    anchored: bool = False


class SweepRequest(ExecuteRequest):
    """A script with parameters, the values to try, and what it trades when."""

    grid: Annotated[dict[str, _Values], WithJsonSchema({"type": "object"})] = Field(
        default_factory=dict, description='{"fast": [5, 10]} or {"fast": {"low": 5, "high": 50, "step": 5}}.'
    )
    search: Annotated[SearchMethod, one_of(get_args(SearchMethod)), _TEXT] = Field(
        "grid", description="Or random: a sample."
    )
    max_variants: Annotated[Whole, Field(ge=2, le=MAX_VARIANTS), _WHOLE] = Field(1_000, description="2-20000.")
    objective: Annotated[Objective, one_of(get_args(Objective))] = Field("sharpe_ratio", description="To maximise.")
    walk_forward: Annotated[WalkForwardTerms | None, WithJsonSchema({"type": "object"})] = Field(
        None, description="{train_days, test_days, anchored}."
    )
    top: Annotated[Whole, Field(ge=1, le=100), _WHOLE] = Field(10, description="Best rows shown.")

    @model_validator(mode="before")
    @classmethod
    def _signal(cls, given: Any) -> Any:
        """A sweep is of a script, so that need not be said."""
        return {"strategy_type": "signal", **cast("dict[str, Any]", given)} if isinstance(given, dict) else given

    @model_validator(mode="after")
    def _searchable(self) -> SweepRequest:
        """Refuse what has no parameters, and a range that holds nothing or too much."""
        if self.strategy_type != "signal":
            raise reject(
                f"{self.strategy_type} has no parameters to sweep",
                "Write a script with param(...).",
                field="strategy_type",
            )
        for name, values in self.grid.items():
            if isinstance(values, Range) and values.high < values.low:
                raise reject(f"{name}: low {values.low:g} is above high {values.high:g}", "Swap them.", field="grid")
            if isinstance(values, tuple) and not values:
                raise reject(f"{name} has no values", "Name at least one.", field="grid")
            if isinstance(values, Range) and (values.high - values.low) / values.step > MAX_VARIANTS:
                raise reject(f"{name} has more than {MAX_VARIANTS:,} values", "Use a larger step.", field="grid")
        return self


class SweepIdRequest(Request):
    """Names a sweep."""

    sweep_id: Identifier = Field(description="From backtest_sweep.")


class SweepStarted(Response):
    """A queued sweep."""

    sweep_id: str = Field("", description="The sweep.")
    status: JobStatus = Field("queued", description="queued.")
    variants: int = Field(0, description="Variants that will run; each counts as tried.")
    memory_mb: int = Field(0, description="Maximum memory of all processes together.")
    warnings: list[str] = Field(default_factory=list, description="What was assumed or looks wrong.")


class Sample(Response):
    """The same measures in sample and out of sample. Annualised; fractions unless the name ends in `_pct`."""

    total_return_pct: float | None = None
    annual_return: float | None = None
    sharpe_ratio: float | None = None
    max_drawdown: float | None = None
    days: float | None = None


class Picture(Response):
    """A rendered chart; `sparkline` where the extra for pictures is not installed."""

    alt: str = Field(default="", description="What it shows, in words.")
    format: str | None = None
    data: str | None = Field(default=None, description="Base64 for png; text for svg and html.")
    sparkline: str | None = Field(default=None, description="The same in one line of text.")
    how: str | None = Field(default=None, description="How to get pictures.")


class SweepResponse(Response):
    """What a sweep found, or how far it is."""

    sweep_id: str = Field("", description="The sweep.")
    status: JobStatus = Field("queued", description="Of the job.")
    progress: float | None = Field(None, description="0 to 1.")
    message: str | None = Field(None, description="Stage or reason.")
    recommendation: str | None = Field(None, description="A variant or none of these, and why.")
    recommended: dict[str, float] | None = Field(None, description="Its values; absent for none.")
    variants: int | None = Field(None, description="Each counts.")
    columns: list[str] | None = Field(None, description="Parameters, then metrics.")
    rows: list[list[float | None]] | None = Field(None, description="Best first.")
    default_rank: int | None = Field(None, description="The script's own values.")
    shape: str | None = Field(None, description="plateau, or spike: neighbours do worse.")
    neighbours: float | None = Field(None, description="Their median.")
    probability_of_backtest_overfitting: float | None = Field(None, description="CSCV; 0.5 is chance.")
    deflated_sharpe_ratio: float | None = Field(None, description="Of the best, given all variants.")
    expected_max_sharpe: float | None = Field(None, description="From luck.")
    in_sample: Sample | None = Field(None, description="On training windows.")
    out_of_sample: Annotated[Sample | None, _OBJECT] = Field(
        None, description="As in_sample, on the tests that follow."
    )
    folds: list[dict[str, Any]] | None = Field(None, description="Tests and.")
    equity: list[tuple[str, float]] | None = Field(None, description="Out of sample.")
    memory_mb: int | None = Field(None, description="At most.")
    data_source: str | None = None
    picture: Annotated[Picture | None, _OBJECT] = None
    warnings: list[str] = Field(default_factory=list, description="Reasons for doubt.")


class RunsRequest(Request):
    """Which backtests and sweeps."""

    search: Text | None = Field(None, description="Words of script, tickers or description.")
    tag: Text | None = Field(None, description="A #tag in the description.")
    state: Annotated[
        Literal["any", "open", "completed", "failed", "cancelled"],
        one_of(("any", "open", "completed", "failed", "cancelled")),
    ] = Field("any", description="open: queued or running.")
    limit: Annotated[Whole, Field(ge=1, le=100), _WHOLE] = Field(20, description="Newest first.")


class ListedJob(Response):
    """A backtest or a sweep in one line."""

    id: str = Field(description="Job id.")
    state: str = Field(description="Of the job.")
    result_id: str | None = Field(None, description="For the results tools.")
    progress: float | None = Field(None, description="0 to 1.")
    created_at: Time | None = None
    description: str | None = None
    universe: list[str] | None = None
    timeframe: str | None = None
    total_return_pct: float | None = None
    sharpe_ratio: float | None = None
    message: str | None = None


class RunsResponse(Response):
    """Backtests and sweeps, newest first."""

    jobs: Annotated[list[ListedJob], TABLE] = Field(default_factory=list[ListedJob], description="Newest first.")
    total: int = Field(0, description="That match.")


class CompareRequest(Request):
    """Results side by side, and as one portfolio."""

    result_ids: Annotated[
        tuple[Identifier, ...],
        Field(min_length=2, max_length=10),
        WithJsonSchema({"type": "array", "items": {"type": "string"}}),
    ] = Field(description="2 to 10.")
    weights: Annotated[
        tuple[Annotated[Number, Field(gt=0)], ...] | None,
        WithJsonSchema({"type": "array", "items": {"type": "number"}}),
    ] = Field(None, description="Adds a portfolio on one account.")
    chart: Annotated[bool, WithJsonSchema({"type": "boolean"})] = Field(default=False, description="Also a picture.")

    @model_validator(mode="after")
    def _weighed(self) -> CompareRequest:
        _check_weights(self.result_ids, self.weights)
        return self


def _check_weights(result_ids: Sequence[str], weights: Sequence[float] | None) -> None:
    if len(set(result_ids)) < len(result_ids):
        raise reject("names a result twice", "Name each result once.", field="result_ids")
    if weights is not None and len(weights) != len(result_ids):
        raise reject(
            f"has {len(weights)} numbers for {len(result_ids)} results",
            "Give one weight for each result.",
            field="weights",
        )


class CompareResponse(Response):
    """One table, which result leads in which figure, and how the returns move together."""

    columns: list[str] = Field(default_factory=list[str], description="Of rows.")
    rows: list[list[Any]] = Field(default_factory=list[list[Any]], description="The portfolio last.")
    leaders: dict[str, str] = Field(default_factory=dict[str, str], description="By measure.")
    correlation: list[list[float | None]] = Field(
        default_factory=list[list[float | None]], description="Of daily returns."
    )
    overlap_days: float = Field(0.0, description="Days in common.")
    picture: Annotated[Picture | None, _OBJECT] = None
    warnings: list[str] = Field(default_factory=list)


Rebalancing = Literal["never", "weekly", "monthly", "quarterly"]
PORTFOLIO_COLUMNS: Final = (
    "book",
    "result_id",
    "weight",
    "moved",
    "initial_cash",
    "final_equity",
    "profit",
    "contribution_pct",
    "total_return_pct",
    "sharpe_ratio",
    "max_drawdown",
    "num_trades",
    "win_rate",
)
"""Of a portfolio's rows; `moved` is the money that rebalancing put into the book."""


class PortfolioRequest(Request):
    """Which strategies, by their results, and how the account is shared among their books."""

    result_ids: Annotated[
        tuple[Identifier, ...],
        Field(min_length=2, max_length=10),
        WithJsonSchema({"type": "array", "items": {"type": "string"}}),
    ] = Field(description="2 to 10 results; their strategies run again over the time that all share.")
    weights: Annotated[
        tuple[Annotated[Number, Field(gt=0)], ...] | None,
        WithJsonSchema({"type": "array", "items": {"type": "number"}}),
    ] = Field(None, description="Shares of the account; default: equal.")
    rebalance: Annotated[Rebalancing, one_of(get_args(Rebalancing))] = Field(
        "never", description="When free cash moves to books below their weight."
    )
    initial_cash: Cash = Field(10_000.0, description="Of the account.")
    description: Note | None = Field(None, description="10-500 chars.")

    @model_validator(mode="after")
    def _weighed(self) -> PortfolioRequest:
        _check_weights(self.result_ids, self.weights)
        return self


class PortfolioStarted(Response):
    """A queued portfolio."""

    backtest_id: str = Field("", description="Follow it like any backtest.")
    status: JobStatus = Field("queued", description="queued.")
    books: list[str] = Field(default_factory=list[str], description="Their names.")
    warnings: list[str] = Field(default_factory=list[str], description="What was assumed or looks wrong.")


class PortfolioResponse(Response):
    """A portfolio's books and the whole, or how far it is."""

    backtest_id: str | None = None
    status: JobStatus | None = None
    progress: float | None = None
    message: str | None = None
    result_id: str | None = Field(None, description="For the results tools; trades carry their book as tag.")
    columns: list[str] | None = Field(None, description="Of rows.")
    rows: list[list[Any]] | None = Field(None, description="Each book, then the account.")
    correlation: list[list[float | None]] | None = Field(None, description="Of the books' daily returns.")
    rebalancing: str | None = Field(None, description="The rule.")
    transfers: int | None = Field(None, description="Times that money moved.")
    data_source: str | None = None
    picture: Annotated[Picture | None, _OBJECT] = None
    warnings: list[str] = Field(default_factory=list[str])


Part = Literal["months", "weekdays", "regimes", "rolling", "drawdowns", "excursions", "benchmark", "monte_carlo"]


DEFAULT_PARTS: Final[tuple[Part, ...]] = ("months", "drawdowns", "monte_carlo")


class ReportRequest(Request):
    """A result, and the parts of the report."""

    result_id: Identifier = Field(description="The result.")
    parts: Annotated[
        tuple[Annotated[Part, one_of(get_args(Part))], ...],
        WithJsonSchema({"type": "array", "items": {"type": "string", "enum": list(get_args(Part))}}),
    ] = Field(DEFAULT_PARTS, description="What to report.")
    chart: Annotated[bool, WithJsonSchema({"type": "boolean"})] = Field(default=False, description="Also a picture.")
    ticker: Text | None = Field(None, description="For benchmark; default: the first traded.")


class ReportResponse(Response):
    """The parts asked for. Returns in percent, drawdowns and shares as fractions, times ISO 8601 UTC."""

    result_id: str = ""
    months: dict[str, Any] | None = Field(None, description="Percent.")
    weekdays: dict[str, Any] | None = Field(None, description="Mean return.")
    regimes: dict[str, Any] | None = Field(None, description="Of the market.")
    rolling: dict[str, Any] | None = Field(None, description="Sharpe ratio.")
    drawdowns: list[dict[str, Any]] | None = Field(None, description="Five deepest.")
    excursions: dict[str, Any] | None = Field(None, description="MAE, MFE.")
    benchmark: dict[str, Any] | None = Field(None, description="Alpha, beta.")
    monte_carlo: dict[str, Any] | None = Field(None, description="95 % intervals.")
    picture: Annotated[Picture | None, _OBJECT] = None


class CorrelationRequest(Request):
    """Which symbols, over how many bars."""

    symbols: Annotated[
        tuple[Text, ...],
        Field(min_length=2, max_length=20),
        WithJsonSchema({"type": "array", "items": {"type": "string"}}),
    ] = Field(description="2 to 20.")
    timeframe: Literal["1h", "4h", "1d"] = Field("1d", description="Bar.")
    bars: Annotated[Whole, Field(ge=30, le=5_000), _WHOLE] = Field(365, description="30-5000.")


class CorrelationResponse(Response):
    """How symbols move together."""

    symbols: list[str] = Field(default_factory=list[str])
    matrix: list[list[float | None]] = Field(
        default_factory=list[list[float | None]], description="Correlation of returns."
    )
    pairs: list[dict[str, Any]] = Field(
        default_factory=list[dict[str, Any]], description="Cointegration, strongest first."
    )
    bars: int = Field(0, description="In common.")
    source: str | None = None


class ChartRequest(Request):
    """A picture of a result."""

    result_id: Identifier = Field(description="A result_id or a sweep_id.")
    kind: Annotated[
        Literal["equity", "trades", "months", "heatmap", "walk_forward", "allocation", "report"],
        one_of(("equity", "trades", "months", "heatmap", "walk_forward", "allocation", "report")),
    ] = Field("equity", description="What to draw; heatmap and walk_forward are of a sweep.")
    format: Annotated[Literal["png", "svg", "html"], one_of(("png", "svg", "html"))] = Field(
        "png", description="html: a whole report."
    )
    theme: Annotated[Literal["light", "dark"], one_of(("light", "dark"))] = Field("light", description="light or dark.")


def _sweep(name: str, method: Any, path: str, request: Any, response: Any, summary: str) -> Endpoint[Any, Any]:
    return Endpoint(
        name=name,
        method=method,
        path=path,
        scope="research",
        request=request,
        response=response,
        summary=summary,
        documented=False,
    )


BACKTEST_SWEEP: Final[Endpoint[SweepRequest, SweepStarted]] = _sweep(
    "backtest_sweep", "POST", "/backtest/sweep", SweepRequest, SweepStarted, "Queue a sweep over a script's parameters."
)
BACKTEST_SWEEP_STATUS: Final[Endpoint[SweepIdRequest, SweepResponse]] = _sweep(
    "backtest_sweep_status", "GET", "/backtest/sweep/{sweep_id}", SweepIdRequest, SweepResponse, "A sweep's findings."
)
BACKTEST_LIST: Final[Endpoint[RunsRequest, RunsResponse]] = _sweep(
    "backtest_list", "GET", "/backtest/jobs", RunsRequest, RunsResponse, "Backtests and sweeps, open ones too."
)
BACKTEST_COMPARE: Final[Endpoint[CompareRequest, CompareResponse]] = _sweep(
    "backtest_compare", "POST", "/backtest/compare", CompareRequest, CompareResponse, "Results side by side."
)
BACKTEST_PORTFOLIO: Final[Endpoint[PortfolioRequest, PortfolioStarted]] = _sweep(
    "backtest_portfolio",
    "POST",
    "/backtest/portfolio",
    PortfolioRequest,
    PortfolioStarted,
    "Queue several strategies on one account, each with a book of its own.",
)
BACKTEST_REPORT: Final[Endpoint[ReportRequest, ReportResponse]] = _sweep(
    "backtest_report", "POST", "/backtest/report", ReportRequest, ReportResponse, "Chosen parts of a full report."
)
BACKTEST_CHART: Final[Endpoint[ChartRequest, Picture]] = _sweep(
    "backtest_chart", "POST", "/backtest/chart", ChartRequest, Picture, "A picture of a result."
)
MARKET_CORRELATION: Final[Endpoint[CorrelationRequest, CorrelationResponse]] = _sweep(
    "market_correlation",
    "POST",
    "/market/correlation",
    CorrelationRequest,
    CorrelationResponse,
    "Correlation and cointegration of symbols.",
)
