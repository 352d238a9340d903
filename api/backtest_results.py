"""What the backtest section answers. Fractions are 0.05 for 5 %; only names ending in `_pct` are in percent.

Figures that are not defined (no trade, no loss, no deviation) are null, never infinite.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from api.outputs import TABLE, Response, Time

from .times import Timeframe

JobStatus = Literal["queued", "running", "completed", "failed", "cancelled"]
DataSource = Literal["imported", "exchange", "simulated", "mixed"]


class ExecuteResponse(Response):
    """A job that waits for its turn."""

    backtest_id: str = Field(description="Handle of the job, for status and cancel.")
    status: JobStatus = Field("queued", description="Usually `queued`.")
    universe: list[str] | None = Field(None, description="The tickers as understood, EXCHANGE:TICKER.")
    bars: int | None = Field(None, description="Bars to be run, per ticker.")
    warnings: list[str] = Field(default_factory=list, description="What was assumed or looks wrong.")
    created_at: Time | None = Field(None, description="ISO 8601, UTC.")


class StatusResponse(Response):
    """How far a job is."""

    backtest_id: str | None = Field(None, description="The job.")
    status: JobStatus = Field(description="queued, running, completed, failed or cancelled.")
    progress: float | None = Field(None, description="Done, as a fraction 0 to 1.")
    result_id: str | None = Field(None, description="Set when completed; the results endpoints take it.")
    message: str | None = Field(None, description="Why it failed or was cancelled, or what it is doing.")
    queue_position: int | None = Field(None, description="Jobs before this one, while queued.")
    created_at: Time | None = Field(None, description="ISO 8601, UTC.")
    started_at: Time | None = Field(None, description="ISO 8601, UTC.")
    finished_at: Time | None = Field(None, description="ISO 8601, UTC.")


class CancelResponse(Response):
    """The job after the attempt to cancel it."""

    backtest_id: str | None = Field(None, description="The job.")
    status: JobStatus | None = Field(None, description="cancelled, or how it had ended before.")
    message: str | None = Field(None, description="What was done.")


class KeyMetrics(Response):
    """The figures that every result leads with."""

    final_equity: float | None = Field(None, description="Money at the end, everything closed, quote currency.")
    total_return_pct: float | None = Field(None, description="Return over the whole run, percent.")
    max_drawdown: float | None = Field(None, description="Deepest fall from a peak of equity, fraction <= 0.")
    sharpe_ratio: float | None = Field(None, description="Annualised, per-bar returns, risk-free rate 0.")
    sortino_ratio: float | None = Field(None, description="Annualised, downside deviation over all bars.")
    calmar_ratio: float | None = Field(None, description="Annual return over |max_drawdown|.")
    win_rate: float | None = Field(None, description="Trades with profit after costs, fraction 0 to 1.")
    num_trades: int | None = Field(None, description="Closed trades.")
    profit_factor: float | None = Field(None, description="Gross profit over gross loss, in money after fees.")


class BuyAndHold(Response):
    """The same money held in the same universe, equal weights, same costs, no rebalancing."""

    total_return_pct: float | None = Field(None, description="Percent.")
    max_drawdown: float | None = Field(None, description="Fraction <= 0.")
    sharpe_ratio: float | None = Field(None, description="Annualised.")


class Assumptions(Response):
    """Everything that was used and not only what was asked for."""

    exchange: str = Field(description="Exchange id.")
    market_type: str = Field(description="spot, perpetual or prediction.")
    timeframe: str = Field(description="Length of a bar.")
    mode: str = Field(description="isolated or cross.")
    start: Time = Field(description="Open of the first traded bar.")
    end: Time = Field(description="Close of the last traded bar.")
    bars: int = Field(description="Bars traded on.")
    warmup_bars: int = Field(description="Bars loaded before the start for the indicators.")
    initial_cash: float = Field(description="Quote currency.")
    quote_currency: str = Field(description="What all money figures are in.")
    leverage: float = Field(description="Multiple of the position's margin.")
    maintenance_margin: float | None = Field(None, description="Of a position's value; perpetuals.")
    trading_fee: float = Field(description="Fraction of the money traded, each side.")
    slippage: float = Field(description="Fraction by which market fills are worse.")
    stop_loss: float | None = Field(description="Portfolio stop, percent of initial cash, or null.")
    take_profit: float | None = Field(description="Portfolio target, percent of initial cash, or null.")
    max_volume_share: float | None = Field(None, description="Of a bar's volume.")
    smallest_order: float | None = Field(None, description="Quote currency.")
    funding: str | None = Field(None, description="Perpetuals: what is charged.")
    fill_timing: str = Field(description="When a decision made on a bar's close is filled.")
    periods_per_year: float = Field(description="Bars a year that ratios are annualised with.")
    data_source: DataSource = Field(description="imported, exchange, simulated, or mixed.")


class Robustness(Response):
    """How much of the result may be luck of the search."""

    variants_tried: int | None = Field(None, description="Different strategies run on this universe and range by you.")
    deflated_sharpe_ratio: float | None = Field(
        None, description="Probability that the true Sharpe is above zero given the variants tried, 0 to 1."
    )
    expected_max_sharpe: float | None = Field(None, description="Annualised, what luck alone would give.")


class Trade(Response):
    """A round trip. Prices and money in quote currency."""

    trade_id: int | None = Field(None, description="Number of the trade in the result, from 1.")
    ticker: str | None = Field(None, description="EXCHANGE:TICKER.")
    side: str | None = Field(None, description="long or short.")
    entry_time: Time | None = Field(None, description="Bar of the entry fill, ISO 8601 UTC.")
    exit_time: Time | None = Field(None, description="Bar of the exit fill.")
    entry_price: float | None = Field(None, description="After slippage.")
    exit_price: float | None = Field(None, description="After slippage.")
    amount: float | None = Field(None, description="Base units.")
    pnl: float | None = Field(None, description="Profit after fees and funding.")
    return_pct: float | None = Field(None, description="Profit after fees over the entry value, percent.")
    fees: float | None = Field(None, description="Both sides, quote currency.")
    bars_held: int | None = Field(None, description="Bars between the fills.")
    exit_reason: str | None = Field(None, description="signal, stop_loss, take_profit, liquidation, end_of_data, ...")
    tag: str | None = Field(None, description="Tag of the entry in the script.")


class ResultsResponse(Response):
    """The verdict of a backtest."""

    result_id: str | None = Field(None, description="The result.")
    backtest_id: str | None = Field(None, description="The job that made it.")
    strategy_type: str | None = Field(None, description="signal, dca, grid, pair_trading or cross_sectional.")
    description: str | None = Field(None, description="As given.")
    universe: list[str] | None = Field(None, description="Tickers traded.")
    timeframe: str | None = Field(None, description="Length of a bar.")
    start_date: str | None = Field(None, description="YYYY-MM-DD.")
    end_date: str | None = Field(None, description="YYYY-MM-DD, inclusive.")
    metrics: KeyMetrics = Field(description="The key figures.")
    buy_and_hold: BuyAndHold | None = Field(None, description="What doing nothing would have made.")
    robustness: Robustness | None = Field(None, description="Variants tried and the deflated Sharpe ratio.")
    assumptions: Assumptions | None = Field(None, description="All that was used, defaults included.")
    best_trades: list[Trade] | None = Field(None, description="The three most profitable.")
    worst_trades: list[Trade] | None = Field(None, description="The three least profitable.")
    warnings: list[str] = Field(default_factory=list, description="What weakens the result.")
    script: str | None = Field(None, description="The script that ran.")
    script_generated: bool | None = Field(None, description="True where the server wrote it from parameters.")
    portfolio: Annotated[dict[str, Any] | None, WithJsonSchema({"type": "object"})] = Field(
        None, description="Of several strategies: their books."
    )
    created_at: Time | None = Field(None, description="ISO 8601, UTC.")


class RecentResult(Response):
    """A result in one line."""

    result_id: str = Field(description="What the results endpoints take.")
    created_at: Time | None = Field(None, description="ISO 8601, UTC.")
    strategy_type: str | None = Field(None, description="signal, dca, grid, pair_trading or cross_sectional.")
    description: str | None = Field(None, description="As given.")
    universe: list[str] | None = Field(None, description="Tickers traded.")
    timeframe: str | None = Field(None, description="Length of a bar.")


class RecentResponse(Response):
    """The newest results first."""

    results: list[RecentResult] = Field(default_factory=list[RecentResult], description="Newest first.")


class MetricsResponse(KeyMetrics):
    """All figures. Money in quote currency, durations in bars, fractions unless the name ends in `_pct`."""

    result_id: str | None = Field(None, description="The result.")
    bars: int | None = Field(None, description="Bars traded on.")
    periods_per_year: float | None = Field(None, description="Bars a year that ratios are annualised with.")
    annual_return: float | None = Field(None, description="Compound growth in 365 days.")
    volatility: float | None = Field(None, description="Annualised.")
    max_drawdown_bars: int | None = Field(None, description="Below a former peak.")
    time_under_water: float | None = Field(None, description="Share of bars.")
    exposure: float | None = Field(None, description="Share of bars with a position.")
    turnover: float | None = Field(None, description="Value of all fills.")
    total_fees: float | None = Field(None, description="Fees of all fills.")
    total_slippage: float | None = Field(None, description="Lost to slippage.")
    total_funding: float | None = Field(None, description="Paid on perpetuals; negative: received.")
    average_trade: float | None = Field(None, description="Mean profit of a trade.")
    average_trade_pct: float | None = Field(None, description="Percent of the entry value.")
    average_win: float | None = Field(None, description="Mean gain.")
    average_loss: float | None = Field(None, description="Mean loss, positive.")
    expectancy: float | None = Field(None, description="Mean profit in units of the average loss.")
    best_trade: float | None = Field(None, description="Largest profit.")
    worst_trade: float | None = Field(None, description="Smallest profit.")
    best_trade_pct: float | None = Field(None, description="Percent of the entry value.")
    worst_trade_pct: float | None = Field(None, description="Percent of the entry value.")
    average_bars_held: float | None = Field(None, description="Entry to exit.")
    max_consecutive_losses: int | None = Field(None, description="Longest run.")
    long_trades: int | None = Field(None, description="Closed long trades.")
    short_trades: int | None = Field(None, description="Closed short trades.")
    liquidations: int | None = Field(None, description="Positions that ran out of margin.")
    openings_cut: int | None = Field(None, description="For lack of money.")
    openings_skipped: int | None = Field(None, description="No money, or too small.")
    volume_limited: int | None = Field(None, description="Openings.")
    skewness: float | None = Field(None, description="Of per-bar returns.")
    kurtosis: float | None = Field(None, description="Of per-bar returns; 3 is normal.")
    buy_and_hold: BuyAndHold | None = Field(None, description="What doing nothing would have made.")


class TickerPerformance(Response):
    """One ticker's share of the result."""

    ticker: str = Field(description="EXCHANGE:TICKER.")
    num_trades: int | None = Field(None, description="Closed trades.")
    win_rate: float | None = Field(None, description="Fraction 0 to 1.")
    pnl: float | None = Field(None, description="Profit after fees, quote currency.")
    contribution_pct: float | None = Field(None, description="Profit over initial cash, percent.")
    profit_factor: float | None = Field(None, description="Gross profit over gross loss.")
    fees: float | None = Field(None, description="Quote currency.")
    buy_and_hold_pct: float | None = Field(None, description="Return of just holding it, percent.")
    data_source: str | None = Field(None, description="imported, exchange or simulated.")


class PerTickerResponse(Response):
    """Every ticker's share, best first."""

    result_id: str | None = Field(None, description="The result.")
    tickers: Annotated[list[TickerPerformance], TABLE] = Field(
        default_factory=list[TickerPerformance], description="Best first."
    )
    total: int | None = Field(None, description="Tickers in all.")
    next_offset: int | None = Field(None, description="Pass as `offset` for more; null at the end.")


class TradesResponse(Response):
    """A page of the trade history."""

    result_id: str | None = Field(None, description="The result.")
    trades: Annotated[list[Trade], TABLE] = Field(default_factory=list[Trade], description="In order of exit.")
    total: int | None = Field(None, description="Trades in all.")
    next_offset: int | None = Field(None, description="Pass as `offset` for more; null at the end.")


class EquityPoint(Response):
    """The account at a bar's close."""

    time: Time = Field(description="Close of the bar, ISO 8601 UTC.")
    equity: float = Field(description="Quote currency.")
    drawdown: float | None = Field(None, description="From the peak so far, fraction <= 0.")


class EquityResponse(Response):
    """The equity curve, thinned or a page of the whole."""

    result_id: str | None = Field(None, description="The result.")
    timeframe: Timeframe | None = Field(None, description="Length of a bar.")
    points: Annotated[list[EquityPoint], TABLE] = Field(
        default_factory=list[EquityPoint], description="In order of time."
    )
    total: int | None = Field(None, description="Bars in all.")
    thinned: bool | None = Field(None, description="True when bars were left out between the points.")
    next_offset: int | None = Field(None, description="Pass as `offset` for more; null at the end or when thinned.")


class Finding(Response):
    """One strength or weakness, with its figure."""

    code: str = Field(description="Stable name, e.g. few_trades.")
    severity: Literal["info", "warning", "critical"] = Field(description="How serious it is.")
    message: str = Field(description="One sentence with the numbers.")


class AnalysisResponse(Response):
    """What drove the result and how far it can be trusted."""

    result_id: str | None = Field(None, description="The result.")
    analysis: str | None = Field(None, description="The reading, as text.")
    drivers: list[str] | None = Field(None, description="What made and lost the money.")
    findings: list[Finding] | None = Field(None, description="Weaknesses first.")
    facts: dict[str, Any] | None = Field(None, description="The computed figures behind the text.")


class Diagnostic(Response):
    """One remark on a script."""

    severity: Literal["error", "warning", "info"] = Field(description="An error stops the script from running.")
    code: str = Field(description="Stable name of the rule.")
    message: str = Field(description="What is wrong.")
    line: int | None = Field(None, description="From 1.")
    column: int | None = Field(None, description="From 1.")
    excerpt: str | None = Field(None, description="The line with a caret below.")
    suggestion: str | None = Field(None, description="How to fix it.")


class ScriptCheckResponse(Response):
    """Whether a script would run, and what it would do."""

    valid: bool = Field(description="True when there is no error.")
    diagnostics: list[Diagnostic] = Field(default_factory=list[Diagnostic], description="Errors first.")
    plan: list[str] = Field(default_factory=list, description="What the script does, in words.")
    tickers: list[str] = Field(default_factory=list, description="Tickers it trades or reads.")
    warmup_bars: int | None = Field(None, description="Bars before all its indicators have a value.")
    fixed_script: str | None = Field(None, description="The script with every error fixed, where that is sure.")
    reads_position: bool | None = Field(None, description="True: decided bar by bar, slower.")
