"""Cross-sectional: hold the best of the universe by a score, and where possible short the worst."""

from __future__ import annotations

import ast

from api.errors import InvalidInput
from api.strategies import CrossSectionalParameters
from engine.strategies import Setting, WrittenStrategy, number


def write_cross_sectional(parameters: CrossSectionalParameters, script: str, setting: Setting) -> WrittenStrategy:
    """Rank the universe by `alpha` at fixed intervals and move every ticker to its target weight.

    Raises:
        InvalidInput: The script gives no `alpha`.
    """
    tickers = len(setting.instruments)
    held = min(max(1, int(tickers * parameters.top_bottom_pct / 100)), tickers // 2)
    weight = parameters.target_weight / (2 * held if setting.shorts else held)
    if parameters.max_weight_per_asset is not None:
        weight = min(weight, parameters.max_weight_per_asset)
    lines = [_with_alpha(script), *_smoothed(parameters), f"xs_best = cs_rank(xs_alpha) <= {held}"]
    if setting.shorts:
        lines.append(f"xs_worst = cs_rank_low(xs_alpha) <= {held}")
        lines.append(f"xs_wish = {number(weight)} if xs_best else (-{number(weight)} if xs_worst else 0)")
    else:
        lines.append(f"xs_wish = {number(weight)} if xs_best else 0")
    lines += _target(parameters)
    when = f"every_bars({parameters.rebalancing_interval})"
    if parameters.min_rebalance_weight_change > 0:
        lines.append("xs_now = position * close / equity")
        when += f" and abs(xs_target - xs_now) >= {number(parameters.min_rebalance_weight_change)}"
    lines.append(f"emit_signal({when}, rebalance(TICKER, Weight(xs_target)))")
    return WrittenStrategy("\n".join(lines) + "\n", "isolated", _warnings(parameters, setting))


def _with_alpha(script: str) -> str:
    """The caller's lines; a lone expression is alpha itself."""
    text = script.strip()
    try:
        statements = ast.parse(text).body
    except SyntaxError:
        return text
    named = {t.id for s in statements if isinstance(s, ast.Assign) for t in s.targets if isinstance(t, ast.Name)}
    if "alpha" in named:
        return text
    if len(statements) == 1 and isinstance(statements[0], ast.Expr):
        return f"alpha = {text}"
    raise InvalidInput(
        "the script of cross_sectional gives no alpha", suggestion="End it with alpha = ..., a number to rank by"
    )


def _smoothed(parameters: CrossSectionalParameters) -> list[str]:
    method = parameters.alpha_smoothing_method
    if method == "none":
        return ["xs_alpha = alpha"]
    return [f"xs_alpha = {method}(alpha, {parameters.alpha_smoothing_window})"]


def _target(parameters: CrossSectionalParameters) -> list[str]:
    """The weight to move to: the target, or as far towards it as the turnover limit allows."""
    if parameters.max_turnover_per_rebalance is None:
        return ["xs_target = xs_wish"]
    return [
        f"xs_before = nz(lag(xs_wish, {parameters.rebalancing_interval}))",
        "xs_turnover = cs_sum(abs(xs_wish - xs_before))",
        f"xs_part = min(1, {number(parameters.max_turnover_per_rebalance)} / max(xs_turnover, 0.000001))",
        "xs_target = xs_before + (xs_wish - xs_before) * xs_part",
    ]


def _warnings(parameters: CrossSectionalParameters, setting: Setting) -> tuple[str, ...]:
    found: list[str] = []
    if not setting.shorts:
        found.append("This market cannot be sold short: only the best are held.")
    share = parameters.top_bottom_pct
    if share < 1:
        found.append(
            f"top_bottom_pct={share:g} means {share:g} percent; write {100 * share:g} if you meant a fraction."
        )
    return tuple(found)
