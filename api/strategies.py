"""Parameters of the strategies that the service writes the script for: dca, grid, pair_trading, cross_sectional.

The names come from the API. It defines neither types nor defaults, so the embedded engine's are stated here.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, cast, get_args

from pydantic import Field

from api.inputs import MarketTypeInput, Number, Request, Text, Whole, fold, json_object, one_of

StrategyType = Literal["signal", "dca", "grid", "pair_trading", "cross_sectional"]

ScheduleInterval = Literal["hourly", "daily", "weekly", "monthly"]
ExecutionTiming = Literal["open", "close"]
Spacing = Literal["arithmetic", "geometric"]
GridType = Literal["neutral", "long"]
ResetCondition = Literal["none", "out_of_range", "interval"]
HedgeRatio = Literal["dollar_neutral", "beta"]
BetaMethod = Literal["ratio", "ols"]
Smoothing = Literal["none", "sma", "ema"]

Condition = Annotated[Text, Field(min_length=1, max_length=2000)]


class SignalParameters(Request):
    """A script of the caller's own needs no parameters; its market type is fixed by the exchange."""

    market_type: MarketTypeInput | None = Field(None, description="Must be what the exchange trades.")


class DcaParameters(Request):
    """Buy for the same amount at regular intervals."""

    ticker: Text | None = Field(None, description="What to buy. Default: every ticker of the universe.")
    fixed_amount: Number = Field(gt=0, le=1e12, description="Spent on each purchase, in quote currency.")
    interval: Annotated[ScheduleInterval, one_of(get_args(ScheduleInterval))] = Field(description="How often to buy.")
    interval_day: Annotated[Whole, Field(ge=0, le=28)] | None = Field(
        None, description="Weekly: 0 Monday to 6 Sunday (default 0). Monthly: day 1-28 (default 1)."
    )
    condition_script: Condition | None = Field(None, description="Buy only while this expression holds.")
    exit_target_pct: Annotated[Number, Field(gt=0, le=100_000)] | None = Field(
        None, description="Sell all at this profit, in percent."
    )
    exit_script: Condition | None = Field(None, description="Sell all when this expression holds.")
    execution_timing: Annotated[ExecutionTiming, one_of(get_args(ExecutionTiming))] = Field(
        "open", description="Decide on the first or on the last bar of the day (of the hour, when hourly)."
    )


class GridParameters(Request):
    """Rest buy and sell orders at even steps around the price of the first bar."""

    ticker: Text | None = Field(None, description="What to trade. Default: every ticker of the universe.")
    grid_range_pct: Number = Field(10.0, gt=0, lt=100, description="Half width of the grid, in percent of the centre.")
    grid_count: Whole = Field(10, ge=2, le=200, description="Number of price levels.")
    grid_spacing: Annotated[Spacing, one_of(get_args(Spacing))] = Field(
        "arithmetic", description="Equal steps, or equal ratios."
    )
    grid_type: Annotated[GridType, one_of(get_args(GridType))] = Field(
        "neutral", description="`neutral` spans the centre; `long` lies below it and only buys dips."
    )
    reset_condition: Annotated[ResetCondition, one_of(get_args(ResetCondition))] = Field(
        "none", description="When to close everything and lay the grid again around the current price."
    )
    reset_interval_days: Whole = Field(30, ge=1, le=365, description="Days between resets by `interval`.")


class PairParameters(Request):
    """Trade the spread of two tickers back to its mean."""

    pair_a: Text | None = Field(None, description="First leg. Default: the first of the universe.")
    pair_b: Text | None = Field(None, description="Second leg. Default: the second of the universe.")
    lookback: Whole = Field(100, ge=10, le=5000, description="Bars of the spread's mean and deviation.")
    entry_z: Number = Field(2.0, gt=0, le=10, description="Open when the z-score is this far from zero.")
    exit_z: Number = Field(0.5, ge=0, le=10, description="Close when the z-score is this near to zero.")
    stop_loss_z: Annotated[Number, Field(gt=0, le=20)] | None = Field(
        4.0, description="Give up when the z-score is this far; null: never."
    )
    hedge_ratio_method: Annotated[HedgeRatio, one_of(get_args(HedgeRatio))] = Field(
        "dollar_neutral", description="Equal money in both legs, or the second leg scaled by beta."
    )
    beta_method: Annotated[BetaMethod, one_of(get_args(BetaMethod))] = Field(
        "ratio", description="Spread: log price ratio, or log A minus rolling least-squares beta times log B."
    )
    beta_lookback: Whole = Field(200, ge=10, le=5000, description="Bars of the rolling beta.")
    cointegration_check_period: Annotated[Whole, Field(ge=30, le=5000)] | None = Field(
        None, description="Bars of a Dickey-Fuller test of the spread before entering; null: no test."
    )
    cointegration_pvalue_threshold: Number = Field(0.05, ge=0.01, le=0.1, description="Largest p-value to enter at.")


class CrossSectionalParameters(Request):
    """Rank the universe by the script's `alpha`, hold the best (and on perpetuals short the worst)."""

    target_weight: Number = Field(1.0, gt=0, le=10, description="Sum of absolute weights, as a fraction of equity.")
    top_bottom_pct: Number = Field(20.0, gt=0, le=50, description="Percent of the universe held on each side.")
    rebalancing_interval: Whole = Field(24, ge=1, le=10_000, description="Bars between rebalances.")
    alpha_smoothing_method: Annotated[Smoothing, one_of(get_args(Smoothing))] = Field(
        "none", description="Average applied to alpha."
    )
    alpha_smoothing_window: Whole = Field(5, ge=2, le=1000, description="Bars of that average.")
    max_weight_per_asset: Annotated[Number, Field(gt=0, le=10)] | None = Field(
        None, description="Largest absolute weight of one ticker."
    )
    min_rebalance_weight_change: Number = Field(0.0, ge=0, le=1, description="Smaller weight changes are skipped.")
    max_turnover_per_rebalance: Annotated[Number, Field(gt=0, le=20)] | None = Field(
        None, description="Largest sum of absolute weight changes; larger ones are scaled down."
    )


StrategyParameters = SignalParameters | DcaParameters | GridParameters | PairParameters | CrossSectionalParameters

PARAMETERS: Final[dict[StrategyType, type[Request]]] = {
    "signal": SignalParameters,
    "dca": DcaParameters,
    "grid": GridParameters,
    "pair_trading": PairParameters,
    "cross_sectional": CrossSectionalParameters,
}

PARAMETER_NAMES: Final[frozenset[str]] = frozenset(name for model in PARAMETERS.values() for name in model.model_fields)
_BY_FOLDED: Final = {fold(name): model for name, model in PARAMETERS.items()}


def parameters_model(strategy_type: object) -> type[Request] | None:
    """The model of a strategy's parameters, by its name in any known spelling; `None` for an unknown name."""
    return _BY_FOLDED.get(fold(strategy_type[:40])) if isinstance(strategy_type, str) else None


def gather_parameters(body: dict[str, Any]) -> dict[str, Any]:
    """Move strategy parameters that are given as separate fields, as the API has them, into `parameters`."""
    beside = {name: body[name] for name in PARAMETER_NAMES & body.keys()}
    rest = {name: value for name, value in body.items() if name not in beside}
    inside = json_object(rest.get("parameters"))
    if inside is not None and not isinstance(inside, dict):
        return body
    return {**rest, "parameters": {**cast("dict[str, Any]", inside or {}), **beside}}
