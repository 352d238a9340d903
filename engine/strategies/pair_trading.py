"""Pair trading: two tickers whose spread is expected to return to its mean."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final

from api.errors import InvalidInput
from api.strategies import PairParameters
from engine.strategies import Setting, WrittenStrategy, number

_CRITICAL: Final = ((0.01, -3.90), (0.05, -3.34), (0.10, -3.04))
"""p-values and critical values of the Engle-Granger test for two series with a constant (MacKinnon 2010, table 2)."""

_LONG_ONLY: Final = "This market cannot be sold short: only the cheap leg is bought, so the pair is not hedged."


def write_pair_trading(parameters: PairParameters, setting: Setting) -> WrittenStrategy:
    """Buy the cheap leg and sell the dear one when the z-score is far from zero, close when it is near again.

    Both legs together are worth the equity times the leverage.

    Raises:
        InvalidInput: The two legs are one ticker, or the levels of z are out of order.
    """
    first = setting.named("pair_a", parameters.pair_a, 0)
    second = setting.named("pair_b", parameters.pair_b, 1)
    _check(parameters, first.ticker == second.ticker)
    parameters, unreached = _within_reach(parameters)
    lines = [
        f"# {first.ticker} against {second.ticker}",
        f'a = log(close["{first.ticker}"])',
        f'b = log(close["{second.ticker}"])',
        *_spread(parameters),
        f"z = zscore(gap, {parameters.lookback})",
        *_cointegration(parameters),
    ]
    half = number(0.5 * setting.leverage)
    weights = (half, half)
    if parameters.hedge_ratio_method == "beta":
        lines += [f"size_b = clip({_HEDGE}, 0.1, 10)", f"share = {number(setting.leverage)} / (1 + size_b)"]
        weights = ("share", f"{number(setting.leverage)} - share")
    legs = (f'"{first.ticker}"', f'"{second.ticker}"')
    lines += _signals(parameters, setting, legs, weights)
    return WrittenStrategy("\n".join(lines) + "\n", "cross", unreached if setting.shorts else (*unreached, _LONG_ONLY))


_HEDGE: Final = "hedge"


def _check(parameters: PairParameters, same: bool) -> None:  # noqa: FBT001 - a fact, not a switch
    if same:
        raise InvalidInput("pair_a and pair_b are the same ticker", suggestion="Name two tickers")
    if parameters.exit_z >= parameters.entry_z:
        raise InvalidInput(
            f"exit_z {parameters.exit_z:g} is not below entry_z {parameters.entry_z:g}",
            suggestion=f"Set exit_z below {parameters.entry_z:g}",
        )
    if parameters.stop_loss_z is not None and parameters.stop_loss_z <= parameters.entry_z:
        raise InvalidInput(
            f"stop_loss_z {parameters.stop_loss_z:g} is not above entry_z {parameters.entry_z:g}",
            suggestion=f"Set stop_loss_z above {parameters.entry_z:g}, or null for no stop",
        )


def _within_reach(parameters: PairParameters) -> tuple[PairParameters, tuple[str, ...]]:
    """Without a stop that z never reaches, and a note about it: of n values none is above sqrt(n - 1) (Samuelson 1968).

    Raises:
        InvalidInput: z never reaches the entry.
    """
    most = math.sqrt(parameters.lookback - 1)
    reach = f"a z-score over {parameters.lookback} bars is at most {most:.3g}"
    if parameters.entry_z >= most:
        raise InvalidInput(
            f"entry_z {parameters.entry_z:g} is never reached: {reach}",
            suggestion=f"Set entry_z below {most:.3g}, or a lookback above {math.ceil(parameters.entry_z**2) + 1}",
        )
    if parameters.stop_loss_z is None or parameters.stop_loss_z < most:
        return parameters, ()
    note = f"stop_loss_z {parameters.stop_loss_z:g} is left out, because {reach}. A longer lookback lets it work."
    return parameters.model_copy(update={"stop_loss_z": None}), (note,)


def _spread(parameters: PairParameters) -> list[str]:
    hedge = f"{_HEDGE} = hedge_ratio(a, b, {parameters.beta_lookback})"
    if parameters.beta_method == "ols":
        return [hedge, f"gap = a - {_HEDGE} * b"]
    return [*([hedge] if parameters.hedge_ratio_method == "beta" else []), "gap = a - b"]


def _cointegration(parameters: PairParameters) -> list[str]:
    """The t statistic of a Dickey-Fuller regression, from the correlation of the spread's change and its level."""
    bars = parameters.cointegration_check_period
    if bars is None:
        return []
    critical = _critical(parameters.cointegration_pvalue_threshold)
    return [
        f"pull = correlation(change(gap), lag(gap, 1), {bars})",
        f"returning = pull * sqrt({bars - 2} / (1 - pull * pull)) < {number(critical)}",
    ]


def _critical(p_value: float) -> float:
    """Linear interpolation between the table's rows."""
    rows = list(pairwise(_CRITICAL))
    (p0, t0), (p1, t1) = rows[0] if p_value <= rows[0][1][0] else rows[1]
    return t0 + (t1 - t0) * (p_value - p0) / (p1 - p0)


def _signals(
    parameters: PairParameters, setting: Setting, legs: tuple[str, str], weights: tuple[str, str]
) -> list[str]:
    stop = parameters.stop_loss_z
    low, high = number(parameters.entry_z), number(stop) if stop is not None else None
    test = " and returning" if parameters.cointegration_check_period is not None else ""
    cheap = f"z < -{low}" + (f" and z > -{high}" if high else "") + test
    dear = f"z > {low}" + (f" and z < {high}" if high else "") + test
    near = number(parameters.exit_z)
    lines = [
        f"cheap = {cheap}",
        f"dear = {dear}",
        f"cheap_over = z > -{near}" + (f" or z < -{high}" if high else ""),
        f"dear_over = z < {near}" + (f" or z > {high}" if high else ""),
    ]
    if not setting.shorts:
        whole = f"Weight({1 if parameters.hedge_ratio_method == 'dollar_neutral' else weights[0]})"
        return [
            *lines,
            f"emit_signal(cheap_over, exit({legs[0]}))",
            f"emit_signal(dear_over, exit({legs[1]}))",
            f'emit_signal(cheap, entry({legs[0]}, "LONG", {whole}))',
            f'emit_signal(dear, entry({legs[1]}, "LONG", {whole}))',
        ]
    sizes = (f"Weight({weights[0]})", f"Weight({weights[1]})")
    return [
        *lines,
        f'emit_signal(cheap_over, [exit({legs[0]}, side="LONG"), exit({legs[1]}, side="SHORT")])',
        f'emit_signal(dear_over, [exit({legs[0]}, side="SHORT"), exit({legs[1]}, side="LONG")])',
        f'emit_signal(cheap, [entry({legs[0]}, "LONG", {sizes[0]}), entry({legs[1]}, "SHORT", {sizes[1]})])',
        f'emit_signal(dear, [entry({legs[0]}, "SHORT", {sizes[0]}), entry({legs[1]}, "LONG", {sizes[1]})])',
    ]
