"""The analysis: how it judges the facts and the luck of a search, and the parts of a result that it computes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist, variance
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from api.symbols import resolve
from engine.frame import Bars, Floats, Frame
from engine.program import Emission, Entry, Exit, Size, StaticProgram
from engine.results.analysis import analyse
from engine.results.benchmark import buy_and_hold
from engine.results.findings import ResultFacts, judge
from engine.results.robustness import robustness
from engine.simulation.kernel import simulate
from engine.simulation.schedule import delayed
from engine.simulation.settings import SimulationSettings
from engine.store import metadata
from engine.store.backtests import SearchRuns, results_table, sweeps_table, tried

from .conftest import EXAMPLE, Finish, Send

BTC = resolve("BINANCE:BTC/USDT")
ETH = resolve("BINANCE:ETH/USDT")

SOUND = ResultFacts(
    days=365,
    bars=8_760,
    num_trades=100,
    total_return_pct=30.0,
    hold_return_pct=10.0,
    max_drawdown=-0.1,
    net=3_000.0,
    gross_before_costs=3_300.0,
    costs=300.0,
    gross_profit=5_000.0,
    best=200.0,
    top3=500.0,
    exposure=0.5,
    delayed_pct=25.0,
    first_half_pct=14.0,
    second_half_pct=14.0,
    first_half_sharpe=1.0,
    second_half_sharpe=1.0,
    by_reason={"signal": 3_000.0},
    by_ticker={"BINANCE:BTC/USDT": 3_000.0},
    by_side={"long": 3_000.0},
    unfinished=0.0,
    liquidations=0,
    ended_early=None,
    data_source="imported",
)


def codes(**changes: Any) -> list[str]:
    return [finding.code for finding in judge(replace(SOUND, **changes))]


def test_a_sound_result_gives_no_reason_for_doubt() -> None:
    assert codes() == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"num_trades": 0}, "no_trades"),
        ({"num_trades": 12}, "few_trades"),
        ({"best": 2_900.0}, "one_trade_dominates"),
        ({"best": 3_000.0, "gross_profit": 9_000.0}, "lost_without_best"),
        ({"unfinished": -2_000.0}, "open_at_end"),
        ({"costs": 2_000.0, "gross_before_costs": 5_000.0}, "costs_eat_profit"),
        ({"delayed_pct": 10.0}, "fragile_to_delay"),
        ({"second_half_pct": -3.0}, "halves_disagree"),
        ({"liquidations": 1}, "liquidated"),
        ({"max_drawdown": -0.5}, "deep_drawdown"),
        ({"hold_return_pct": 31.0}, "worse_than_holding"),
        ({"exposure": 0.01}, "rarely_invested"),
        ({"ended_early": "portfolio_stop"}, "ended_early"),
        ({"data_source": "simulated"}, "simulated_data"),
        ({"days": 30.0}, "short_range"),
    ],
)
def test_each_weakness_is_named(changes: dict[str, Any], code: str) -> None:
    assert codes(**changes) == [code]


def test_the_worst_comes_first() -> None:
    found = judge(replace(SOUND, num_trades=3, exposure=0.01, max_drawdown=-0.5))

    assert [finding.severity for finding in found] == ["critical", "warning", "info"]


METRICS = {"bars": 8_760, "periods_per_year": 8_760.0, "sharpe_ratio": 1.5, "skewness": -0.3, "kurtosis": 6.0}


def test_the_deflated_sharpe_ratio_is_that_of_the_paper() -> None:
    tried = {"a": 1.5, "b": 0.2, "c": -0.7, "d": 0.9}
    per_bar = [ratio / math.sqrt(8_760) for ratio in tried.values()]
    euler, normal = 0.5772156649015329, NormalDist()
    luck = math.sqrt(variance(per_bar)) * (
        (1 - euler) * normal.inv_cdf(1 - 1 / 4) + euler * normal.inv_cdf(1 - 1 / (4 * math.e))
    )
    spread = math.sqrt(1 - -0.3 * per_bar[0] + (6.0 - 1) / 4 * per_bar[0] ** 2)

    found = robustness(METRICS, "a", tried)

    assert found["variants_tried"] == 4
    assert found["deflated_sharpe_ratio"] == pytest.approx(
        normal.cdf((per_bar[0] - luck) * math.sqrt(8_759) / spread), rel=1e-12
    )
    assert found["expected_max_sharpe"] == pytest.approx(luck * math.sqrt(8_760))


def test_more_variants_never_raise_the_deflated_ratio() -> None:
    ratios = [robustness(METRICS, "v0", {f"v{i}": None for i in range(n)})["deflated_sharpe_ratio"] for n in (1, 5, 50)]

    assert ratios == sorted(ratios, reverse=True)
    assert ratios[0] > ratios[-1]


def test_without_a_sharpe_ratio_only_the_variants_are_counted() -> None:
    assert robustness({**METRICS, "sharpe_ratio": None}, "x", {}) == {"variants_tried": 1}


def bars(close: Floats) -> Bars:
    opened = np.concatenate((close[:1], close[:-1]))
    return Bars(opened, np.maximum(opened, close), np.minimum(opened, close), close, np.ones(len(close)), "simulated")


def frame(**closes: list[float]) -> Frame:
    named = {"BTC": BTC, "ETH": ETH}
    return Frame(
        "1h",
        np.arange(len(next(iter(closes.values()))), dtype=np.int64) * 3600,
        {named[name]: bars(np.array(values)) for name, values in closes.items()},
    )


def test_holding_buys_once_with_costs_and_sells_at_the_end() -> None:
    settings = SimulationSettings(initial_cash=1_000.0, fee=0.01, slippage=0.02)

    equity, by_ticker = buy_and_hold(frame(BTC=[100.0, 110.0, 121.0]), settings, 0)

    amount = 1_000.0 / (100.0 * 1.02 * 1.01)
    assert equity.tolist() == pytest.approx([1_000.0, amount * 110.0, amount * 121.0 * 0.98 * 0.99])
    assert by_ticker[BTC.ticker] == pytest.approx(equity[-1] / 10 - 100)


def test_holding_splits_the_cash_and_waits_for_a_ticker_that_begins_later() -> None:
    settings = SimulationSettings(initial_cash=1_000.0, fee=0.0, slippage=0.0)
    nan = math.nan

    equity, by_ticker = buy_and_hold(frame(BTC=[100.0, 100.0, 200.0, 200.0], ETH=[nan, 10.0, 10.0, 20.0]), settings, 0)

    assert equity.tolist() == [1_000.0, 1_000.0, 1_500.0, 2_000.0]
    assert by_ticker == {BTC.ticker: pytest.approx(100.0), ETH.ticker: pytest.approx(100.0)}


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=5, max_size=30))
def test_a_delayed_program_trades_one_bar_later(decided: list[tuple[bool, bool]]) -> None:
    count = len(decided)
    whole = frame(BTC=[100.0 + 7 * math.sin(i) for i in range(count)])
    enter, leave = (np.array(column) for column in zip(*decided, strict=True))
    program: StaticProgram = (
        Emission(enter & ~leave, (Entry(BTC, 1, Size("weight", np.full(count, 0.5))),)),
        Emission(leave, (Exit(BTC),)),
    )
    settings = SimulationSettings()

    now = simulate(whole, program, settings).trades
    later = simulate(whole, delayed(program), settings).trades

    cut = count - 2
    expected = [bar + 1 for bar in now.entry_bar.tolist() if bar <= cut]
    assert later.entry_bar.tolist() == expected


def test_the_best_three_trades_are_listed_if_there_are_more() -> None:
    few, many = (analyse(replace(SOUND, num_trades=count))["drivers"] for count in (3, 4))

    assert not any("best three" in line for line in few)
    assert any("best three" in line for line in many)


def test_a_loss_that_is_still_open_is_not_called_a_profit() -> None:
    (found,) = (f for f in judge(replace(SOUND, net=-500.0, unfinished=-400.0)) if f.code == "open_at_end")

    assert found.message == "-400.00 of the -500.00 made is still open at the end."


def _ran(
    variant: str, sharpe: float, *, bar_seconds: int = 3_600, days: int = 365, experiment: str | None = None
) -> dict[str, Any]:
    """A stored result of a search that begins at the epoch."""
    blank = dict.fromkeys(("summary", "metrics", "analysis", "tickers", "trade_labels"), "{}")
    return {
        **blank, "id": f"res_{variant}_{experiment}", "agent_id": "a", "market": "m", "start": 0, "end": days * 86_400,
        "variant": variant, "sharpe": sharpe, "bar_seconds": bar_seconds, "experiment": experiment, "trades": b"",
        "equity": b"", "job_id": "job", "created_at": 0.0,
    }  # fmt: skip


def _search(rows: Sequence[dict[str, Any]], experiment: str | None = None) -> dict[str, float | None]:
    engine = sa.create_engine("sqlite://")
    try:
        with engine.begin() as connection:
            metadata.create_all(connection, tables=[results_table, sweeps_table])
            connection.execute(sa.insert(results_table), list(rows))
            return tried(connection, SearchRuns("a", "m", 0, 365 * 86_400, 3_600, experiment))
    finally:
        engine.dispose()


def test_an_odd_run_counts_as_a_try_and_spoils_no_later_deflated_ratio() -> None:
    usual = [_ran(f"v{i}", 0.5 + 0.1 * i) for i in range(5)]
    odd = [_ran("minutes", 400.0, bar_seconds=60, days=3), _ran("short", -90.0, days=3)]

    calm = robustness(METRICS, "v0", _search(usual))
    after = robustness(METRICS, "v0", _search([*usual, *odd]))

    assert after["variants_tried"] == calm["variants_tried"] + 2
    assert after["expected_max_sharpe"] == pytest.approx(calm["expected_max_sharpe"], rel=0.5)
    assert after["deflated_sharpe_ratio"] > 0.5


def test_an_experiment_counts_its_own_tries_and_all_of_them() -> None:
    rows = [_ran(f"v{i}", 0.1 * i) for i in range(4)]
    rows += [_ran(f"w{i}", 0.2 * i, experiment="second idea") for i in range(3)]

    assert set(_search(rows)) == {"v0", "v1", "v2", "v3"}
    assert set(_search(rows, "second idea")) == {"w0", "w1", "w2"}
    assert _search(rows, "third idea") == {}


def test_costs_beside_a_profit_of_nothing_are_no_percentage() -> None:
    assert not {"costs_eat_profit"} & set(codes(gross_before_costs=1e-13, costs=300.0))
    (found,) = (f for f in judge(replace(SOUND, gross_before_costs=10.0, costs=300.0)) if f.code == "costs_eat_profit")
    assert "%" not in found.message
    assert found.severity == "critical"


async def test_a_perpetual_on_simulated_prices_says_that_no_funding_is_charged(finish: Finish, send: Send) -> None:
    body = {
        **EXAMPLE,
        "script": 'emit_signal(bar_index == 0, entry(TICKER, "LONG", Weight(0.5)))',
        "universe": ["BINANCEFUTURESUSD:BTC/USDT:USDT"],
        "exchange": "binancefuturesusd",
        "end_date": "2024-01-31",
    }
    done = await finish(body)
    found = (await send("GET", f"/backtest/results/{done['result_id']}")).json()["data"]

    assert found["assumptions"]["funding"] == "none: the prices come without funding rates"
    assert [warning for warning in found["warnings"] if "funding" in warning] == [
        "BINANCEFUTURESUSD:BTC/USDT:USDT: its prices come without funding rates, so no funding is charged."
    ]
