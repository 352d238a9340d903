"""Strategies that scale into a position: dollar-cost averaging buys at fixed times, a grid at fixed prices."""

from __future__ import annotations

from typing import Final

from api.strategies import DcaParameters, GridParameters
from engine.strategies import Setting, WrittenStrategy, number, one_line

_DAY: Final = 86_400
_EVERY: Final = {"hourly": "1h", "daily": "1d", "weekly": "1w", "monthly": "1M"}
_HOURS: Final = {"hourly": 1, "daily": 24, "weekly": 168, "monthly": 730}
"""Hours from one purchase to the next; a month has 730 on average."""


def write_dca(parameters: DcaParameters, setting: Setting) -> WrittenStrategy:
    """Buy on the first or last bar of the chosen day (or hour), while the condition holds; sell all on an exit."""
    ticker = "TICKER"
    if parameters.ticker is not None:
        ticker = f'"{setting.named("ticker", parameters.ticker, 0).ticker}"'
    most = -(-setting.days * 24 // _HOURS[parameters.interval])
    lines = [
        f"# Buy for {number(parameters.fixed_amount)} {setting.instruments[0].quote} {parameters.interval}",
        f'due = every("{_EVERY[parameters.interval]}", offset_hours={number(_offset(parameters, setting))})',
    ]
    when = "due"
    if parameters.condition_script is not None:
        lines.append(f"wanted = {one_line(parameters.condition_script)}")
        when = "due and wanted"
    size = f"Notional({number(parameters.fixed_amount)})"
    lines.append(f'emit_signal({when}, entry({ticker}, "LONG", {size}, pyramiding={min(most + 1, 10_000)}))')
    if parameters.exit_target_pct is not None:
        lines.append(f"emit_signal(unrealized_pnl_pct >= {number(parameters.exit_target_pct)}, exit({ticker}))")
    if parameters.exit_script is not None:
        lines.append(f"leave = {one_line(parameters.exit_script)}")
        lines.append(f"emit_signal(leave, exit({ticker}))")
    return WrittenStrategy("\n".join(lines) + "\n", "isolated", _dca_warnings(parameters, setting, most))


def _offset(parameters: DcaParameters, setting: Setting) -> float:
    """Hours from the start of the interval to the deciding bar."""
    bar = setting.seconds / 3600
    if parameters.interval == "hourly":
        return max(0.0, 1 - bar) if parameters.execution_timing == "close" else 0.0
    day = {"daily": 0, "weekly": parameters.interval_day or 0, "monthly": (parameters.interval_day or 1) - 1}
    first = 24.0 * day[parameters.interval]
    return first + 24 - bar if parameters.execution_timing == "close" else first


def _dca_warnings(parameters: DcaParameters, setting: Setting, most: int) -> tuple[str, ...]:
    found: list[str] = []
    tickers = 1 if parameters.ticker is not None else len(setting.instruments)
    affordable = int(setting.cash * setting.leverage / (parameters.fixed_amount * tickers))
    if affordable < most and parameters.exit_target_pct is None and parameters.exit_script is None:
        found.append(f"initial_cash pays for {affordable} of about {most} purchases; the rest are not made.")
    if setting.seconds > _HOURS[parameters.interval] * 3600:
        found.append(f"A bar is longer than the interval: one purchase a bar, not {parameters.interval}.")
    return tuple(found)


def write_grid(parameters: GridParameters, setting: Setting) -> WrittenStrategy:
    """Place the grid around the first close, sized so that all levels together use the ticker's share of the cash.

    A script does not remember where it last placed its grid. So bands as wide as the grid, counted from the first
    close, decide whether the price has left the range. A move back and forth over the edge of a band places the grid
    again only once.
    """
    ticker, tickers = "TICKER", len(setting.instruments)
    if parameters.ticker is not None:
        ticker, tickers = f'"{setting.named("ticker", parameters.ticker, 0).ticker}"', 1
    half = parameters.grid_range_pct / 100
    upper = 1 + half if parameters.grid_type == "neutral" else 1.0
    share = setting.cash * setting.leverage / tickers / (parameters.grid_count - 1) / (1 + setting.fee)
    lines = [
        f"# {parameters.grid_count} levels, {number(parameters.grid_range_pct)} % around the close",
        "first = bar_index == 0",
    ]
    lines += _reset(parameters, setting)
    lay = (
        f"grid({ticker}, lower=close * {number(1 - half)}, upper=close * {number(upper)}, "
        f'levels={parameters.grid_count}, size=Notional({number(share)}), spacing="{parameters.grid_spacing}")'
    )
    if parameters.reset_condition == "none":
        lines.append(f"emit_signal(first, {lay})")
    else:
        lines.append(f"emit_signal(reset and not first, exit({ticker}))")
        lines.append(f"emit_signal(first or reset, {lay})")
    return WrittenStrategy("\n".join(lines) + "\n", "isolated")


def _reset(parameters: GridParameters, setting: Setting) -> list[str]:
    """When to close everything and place the grid again."""
    match parameters.reset_condition:
        case "interval":
            bars = max(1, parameters.reset_interval_days * _DAY // setting.seconds)
            return [f"reset = bar_index % {bars} == 0"]
        case "out_of_range":
            half = parameters.grid_range_pct / 100
            width = number((1 + half) / (1 - half))
            return [
                "anchor = value_when(first, close)",
                f"band = round(log(close / anchor) / log({width}))",
                "moved = band != lag(band, 1)",
                f"far = abs(close / nz(value_when(moved, close, 1), anchor) - 1) > {number(half / 2)}",
                "reset = moved and far",
            ]
        case "none":
            return []
