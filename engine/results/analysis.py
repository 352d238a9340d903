"""The analysis of a result: facts from the simulation, findings about them, and both in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from engine.frame import Floats
from engine.simulation.result import Simulation

from .findings import Observed, ResultFacts, counted, judge, worst_first
from .metrics import CurveMetrics, TradeMetrics, measure_curve

_LUCKY: Final = 0.95
_SHOWN: Final = 3


def gather(
    simulation: Simulation, curve: CurveMetrics, traded: TradeMetrics, hold: CurveMetrics, delayed_pct: float | None
) -> ResultFacts:
    """The facts of a finished simulation, compared with holding and with the same run one bar later."""
    trades = simulation.trades
    pnl = trades.pnl
    ranked = np.sort(pnl)[::-1]
    net = simulation.final_equity - simulation.settings.initial_cash
    costs = traded.total_fees + traded.total_slippage + traded.total_funding
    first, second = _halves(simulation)
    tickers = [instrument.ticker for instrument in simulation.instruments]
    which: list[int] = trades.instrument.tolist()
    reasons: list[str] = list(trades.reasons)
    return ResultFacts(
        days=simulation.span / 86_400,
        bars=len(simulation.equity),
        num_trades=len(trades),
        total_return_pct=curve.total_return_pct,
        hold_return_pct=hold.total_return_pct,
        max_drawdown=curve.max_drawdown,
        net=net,
        gross_before_costs=net + costs,
        costs=costs,
        gross_profit=float(pnl[pnl > 0].sum()),
        best=float(ranked[:1].sum()),
        top3=float(ranked[:_SHOWN].sum()),
        exposure=traded.exposure,
        delayed_pct=delayed_pct,
        first_half_pct=first.total_return_pct,
        second_half_pct=second.total_return_pct,
        first_half_sharpe=first.sharpe_ratio,
        second_half_sharpe=second.sharpe_ratio,
        by_reason=_summed(reasons, pnl),
        by_ticker=_summed([tickers[i] for i in which], pnl),
        by_side=_summed(["long" if side > 0 else "short" for side in trades.side.tolist()], pnl),
        unfinished=_summed(reasons, pnl).get("end_of_data", 0.0),
        liquidations=reasons.count("liquidation"),
        ended_early=simulation.ended_early,
        data_source=simulation.frame.source,
        cut=simulation.sizes.cut,
        unfunded=simulation.sizes.unfunded,
        too_small=simulation.sizes.too_small,
        volume_limited=simulation.sizes.volume_limited,
        parts_kept=simulation.sizes.parts_kept,
    )


def analyse(facts: ResultFacts) -> dict[str, Any]:
    """The stored part: drivers, findings and facts."""
    return {"drivers": _drivers(facts), "findings": [asdict(each) for each in judge(facts)], "facts": asdict(facts)}


def told(stored: dict[str, Any], luck: dict[str, Any]) -> dict[str, Any]:
    """The stored analysis with the findings of the search, and everything as text."""
    findings = worst_first([*_about_search(luck), *(Observed(**each) for each in stored["findings"])])
    return {
        "analysis": _text(stored["drivers"], findings),
        "drivers": stored["drivers"],
        "findings": [asdict(each) for each in findings],
        "facts": {**stored["facts"], **luck},
    }


def _about_search(luck: dict[str, Any]) -> Iterable[Observed]:
    tried, deflated = luck["variants_tried"], luck.get("deflated_sharpe_ratio")
    if deflated is None:
        return
    if deflated < _LUCKY:
        yield Observed(
            "may_be_luck",
            "warning" if tried > 1 else "info",
            f"Deflated Sharpe ratio {deflated:.2f} after {counted(tried, 'variant')} tried on this data: "
            f"below {_LUCKY} it cannot be told from luck.",
        )
    else:
        yield Observed(
            "survives_search",
            "info",
            f"Deflated Sharpe ratio {deflated:.2f} after {counted(tried, 'variant')} tried on this data.",
        )


def _drivers(facts: ResultFacts) -> list[str]:
    """The sources of profit and loss, the largest first."""
    if facts.num_trades == 0:
        return [f"No trade was closed; holding returned {facts.hold_return_pct:.2f} %."]
    told_first = (
        f"{counted(facts.num_trades, 'trade')} made {facts.net:,.2f} ({facts.total_return_pct:.2f} %) after "
        f"{facts.costs:,.2f} of costs; holding returned {facts.hold_return_pct:.2f} %."
    )
    lines = [told_first]
    if facts.gross_profit > 0 and facts.num_trades > _SHOWN:
        share = facts.top3 / facts.gross_profit
        lines.append(f"The best three trades made {facts.top3:,.2f}, {share:.0%} of all gains.")
    for what, shares in (("side", facts.by_side), ("exit", facts.by_reason), ("ticker", facts.by_ticker)):
        if len(shares) > 1:
            lines.append(f"By {what}: {_listed(shares)}.")
    lines.append(
        f"First half {facts.first_half_pct:.2f} %, second half {facts.second_half_pct:.2f} %; "
        f"in a position on {facts.exposure:.0%} of the bars."
    )
    if facts.delayed_pct is not None:
        lines.append(f"With every decision one bar later it returns {facts.delayed_pct:.2f} %.")
    return lines


def _listed(shares: dict[str, float]) -> str:
    ranked = sorted(shares.items(), key=lambda item: -abs(item[1]))
    shown = ", ".join(f"{name} {value:+,.2f}" for name, value in ranked[: 2 * _SHOWN])
    return shown if len(ranked) <= 2 * _SHOWN else f"{shown} and {len(ranked) - 2 * _SHOWN} more"


def _text(drivers: Sequence[str], findings: Sequence[Observed]) -> str:
    doubts = [f for f in findings if f.severity != "info"]
    notes = [f for f in findings if f.severity == "info"]
    parts = ["What drove it: " + " ".join(drivers)]
    if doubts:
        parts.append("Reasons for doubt: " + " ".join(f"({i}) {f.message}" for i, f in enumerate(doubts, 1)))
    if notes:
        parts.append("Also: " + " ".join(f.message for f in notes))
    return "\n\n".join(parts)


def _halves(simulation: Simulation) -> tuple[CurveMetrics, CurveMetrics]:
    """Each half of the range measured separately, the second against the money left by the first."""
    curve: Floats = simulation.equity
    cash, seconds = simulation.settings.initial_cash, simulation.frame.seconds
    middle = max(1, len(curve) // 2)
    time = simulation.time
    spans = [int(part[-1] - part[0]) + seconds if len(part) else seconds for part in (time[:middle], time[middle:])]
    left = float(curve[middle - 1])
    second = curve[middle:] if len(curve) > middle and left > 0 else np.array([1.0])
    before = measure_curve(curve[:middle], cash, seconds, spans[0])
    return before, measure_curve(second, left if left > 0 else 1.0, seconds, spans[1] if len(second) > 1 else None)


def _summed(names: Sequence[str], values: Floats) -> dict[str, float]:
    sums: dict[str, float] = {}
    for name, value in zip(names, values.tolist(), strict=True):
        sums[name] = sums.get(name, 0.0) + value
    return sums
