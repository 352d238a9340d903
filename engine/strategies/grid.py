"""Grid trading: resting buys below, a sell one level above each of them."""

from __future__ import annotations

from api.strategies import GridParameters

from .setting import Setting, Written, number

_DAY = 86_400


def write_grid(parameters: GridParameters, setting: Setting) -> Written:
    """Lay the grid around the first close, sized so that all levels together take the ticker's share of the cash.

    Leaving the range is judged by bands as wide as the grid, counted from the first close: a script has no memory of
    where it last laid its grid. A move back and forth over the edge of a band lays it again only once.
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
    return Written("\n".join(lines) + "\n", "isolated")


def _reset(parameters: GridParameters, setting: Setting) -> list[str]:
    """When to close everything and lay the grid again."""
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
