"""Findings about a result: the sources of its profit, and every reason to doubt it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

FindingSeverity = Literal["info", "warning", "critical"]

FEW_TRADES: Final = 30
VERY_FEW_TRADES: Final = 10
DOMINANT_SHARE: Final = 0.5
HEAVY_COSTS: Final = 0.3
LOW_EXPOSURE: Final = 0.02
DELAY_LOSS: Final = 0.5
SHORT_DAYS: Final = 90
DEEP_DRAWDOWN: Final = -0.4


@dataclass(frozen=True, slots=True)
class Observed:
    """One finding with its figures."""

    code: str
    severity: FindingSeverity
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFacts:
    """The facts behind the findings. Returns in percent, shares and drawdowns as fractions, money in quote currency.

    Attributes:
        net: Profit after costs; `gross_before_costs` is the profit without them.
        best: Profit of the best trade; `top3` of the best three together.
        delayed_pct: Return with every decision executed one bar later; `None` when that run is not possible.
        first_half_pct, second_half_pct: Returns of the two halves of the range.
        by_reason: Profit by exit reason; `by_ticker` by ticker; `by_side` by long and short.
        unfinished: Profit of trades that were open at the end.
        cut, unfunded, too_small, volume_limited, parts_kept: Orders that were not filled as requested; see
            `SizeCounts`.
    """

    days: float
    bars: int
    num_trades: int
    total_return_pct: float
    hold_return_pct: float
    max_drawdown: float
    net: float
    gross_before_costs: float
    costs: float
    gross_profit: float
    best: float
    top3: float
    exposure: float
    delayed_pct: float | None
    first_half_pct: float
    second_half_pct: float
    first_half_sharpe: float | None
    second_half_sharpe: float | None
    by_reason: dict[str, float]
    by_ticker: dict[str, float]
    by_side: dict[str, float]
    unfinished: float
    liquidations: int
    ended_early: str | None
    data_source: str
    cut: int = 0
    unfunded: int = 0
    too_small: int = 0
    volume_limited: int = 0
    parts_kept: int = 0


def judge(facts: ResultFacts) -> list[Observed]:
    """Every weakness in the facts, the worst first."""
    found = [
        *_about_trades(facts),
        *_about_costs(facts),
        *_about_timing(facts),
        *_about_risk(facts),
        *_about_sizes(facts),
        *_about_data(facts),
    ]
    return worst_first(found)


def worst_first(found: Iterable[Observed]) -> list[Observed]:
    """Critical findings before warnings before notes, else in the order found."""
    order = {"critical": 0, "warning": 1, "info": 2}
    return sorted(found, key=lambda finding: order[finding.severity])


def counted(number: int, what: str) -> str:
    """`1 trade`, `2 trades`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _about_trades(facts: ResultFacts) -> Iterator[Observed]:
    count = facts.num_trades
    if count == 0:
        yield Observed("no_trades", "critical", "No trade was closed: the entry condition never held, or never filled.")
        return
    if count < FEW_TRADES:
        severity: FindingSeverity = "critical" if count < VERY_FEW_TRADES else "warning"
        yield Observed(
            "few_trades",
            severity,
            f"Only {counted(count, 'trade')}: too few to tell skill from luck; aim for 30 or more.",
        )
    if count > 1 and facts.gross_profit > 0 and facts.best / facts.gross_profit > DOMINANT_SHARE:
        share = facts.best / facts.gross_profit
        yield Observed("one_trade_dominates", "warning", f"One trade made {share:.0%} of all gains.")
    if count > 1 and facts.net > 0 and facts.net - facts.best <= 0:
        yield Observed("lost_without_best", "warning", "Without its best trade the strategy would have lost money.")
    if facts.net and abs(facts.unfinished) > DOMINANT_SHARE * abs(facts.net):
        yield Observed(
            "open_at_end", "warning", f"{facts.unfinished:,.2f} of the {facts.net:,.2f} made is still open at the end."
        )


def _about_costs(facts: ResultFacts) -> Iterator[Observed]:
    if facts.num_trades == 0 or facts.costs <= 0:
        return
    gross = facts.gross_before_costs
    if 0.005 <= gross <= facts.costs:
        yield Observed(
            "costs_eat_profit",
            "critical",
            f"Fees and slippage of {facts.costs:,.2f} took all of the profit before costs ({gross:,.2f}).",
        )
    elif gross > facts.costs > HEAVY_COSTS * gross:
        share = facts.costs / gross
        yield Observed("costs_eat_profit", "warning", f"Fees and slippage took {share:.0%} of the profit before costs.")


def _about_timing(facts: ResultFacts) -> Iterator[Observed]:
    if facts.delayed_pct is not None and facts.total_return_pct > 0:
        lost = 1 - facts.delayed_pct / facts.total_return_pct
        if lost > DELAY_LOSS:
            yield Observed(
                "fragile_to_delay",
                "critical" if facts.delayed_pct <= 0 else "warning",
                f"One bar later the return is {facts.delayed_pct:.2f} % instead of {facts.total_return_pct:.2f} %: "
                "the edge depends on very fast execution.",
            )
    if facts.num_trades and (facts.first_half_pct > 0) != (facts.second_half_pct > 0):
        yield Observed(
            "halves_disagree",
            "warning",
            f"The first half returned {facts.first_half_pct:.2f} %, the second {facts.second_half_pct:.2f} %.",
        )


def _about_risk(facts: ResultFacts) -> Iterator[Observed]:
    if facts.liquidations:
        yield Observed(
            "liquidated",
            "critical",
            f"{counted(facts.liquidations, 'position')} ended in liquidation: lower the leverage.",
        )
    if facts.max_drawdown < DEEP_DRAWDOWN:
        yield Observed("deep_drawdown", "warning", f"Equity fell {-facts.max_drawdown:.0%} from its peak.")
    if facts.num_trades and facts.total_return_pct < facts.hold_return_pct:
        yield Observed(
            "worse_than_holding",
            "warning",
            f"Holding would have returned {facts.hold_return_pct:.2f} %, the strategy {facts.total_return_pct:.2f} %.",
        )
    if facts.num_trades and facts.exposure < LOW_EXPOSURE:
        yield Observed("rarely_invested", "info", f"It held a position on {facts.exposure:.1%} of the bars only.")
    if facts.ended_early:
        yield Observed("ended_early", "info", f"Trading ended early: {facts.ended_early.replace('_', ' ')}.")


def _about_sizes(facts: ResultFacts) -> Iterator[Observed]:
    """Orders that the account or the exchange did not accept as requested."""
    if facts.cut or facts.unfunded:
        yield Observed(
            "money_short",
            "warning",
            f"Free cash did not cover the sizes asked for: {counted(facts.cut, 'opening')} cut, "
            f"{facts.unfunded:,} skipped. Ask for smaller sizes, so that all that open together fit.",
        )
    if facts.too_small:
        yield Observed(
            "too_small",
            "warning",
            f"{counted(facts.too_small, 'opening')} skipped: below the lot or the smallest order of the exchange. "
            "Ask for larger sizes, or start with more money.",
        )
    if facts.volume_limited:
        yield Observed(
            "volume_limited",
            "warning",
            f"{counted(facts.volume_limited, 'opening')} limited to a share of the bar's volume (max_volume_share): "
            "the market does not trade as much as the strategy asks for.",
        )
    if facts.parts_kept:
        yield Observed(
            "parts_kept",
            "warning",
            f"{counted(facts.parts_kept, 'partial exit')} not made: the part is below the lot or the smallest order of "
            "the exchange. Close larger parts, or start with more money.",
        )


def _about_data(facts: ResultFacts) -> Iterator[Observed]:
    if facts.data_source in {"simulated", "mixed"}:
        yield Observed(
            "simulated_data",
            "warning",
            "Prices are simulated: the run shows how the strategy behaves, not that it would have earned anything.",
        )
    if facts.days < SHORT_DAYS:
        yield Observed(
            "short_range", "warning", f"{facts.days:.0f} days see one kind of market only; try a year or more."
        )
