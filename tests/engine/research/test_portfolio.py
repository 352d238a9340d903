"""Several strategies on one account: books computed by hand, and laws for any books."""

from __future__ import annotations

import anyio
import numpy as np
import pytest
from numpy.typing import NDArray

from api.symbols import Instrument
from engine.frame import Bars, Frame
from engine.program import Emission, Entry, Exit, Size
from engine.research.portfolio import PortfolioBars, boundaries, own_curve, together, trade_books
from engine.simulation.kernel import simulate
from engine.simulation.settings import SimulationSettings

from .conftest import SWEEP, Body, Door

DAY = 86_400
MONDAY = 1_704_067_200  # 2024-01-01
BTC, ETH = Instrument("binance", "BTC", "USDT"), Instrument("binance", "ETH", "USDT")


def without_costs(cash: float) -> SimulationSettings:
    return SimulationSettings(initial_cash=cash, fee=0.0, slippage=0.0)


def bars_of(prices: list[float]) -> Bars:
    """Bars that open and close at the same price."""
    price = np.array(prices)
    return Bars(price, price, price, price, np.full(len(price), 1e9), "simulated")


def at(bars: list[int], size: int) -> NDArray[np.bool_]:
    found = np.zeros(size, dtype=np.bool_)
    found[bars] = True
    return found


def book(
    instrument: Instrument, prices: list[float], entries: list[int], exits: list[int], cash: float
) -> PortfolioBars:
    """Buys with all its money on the bar after each of `entries`, and sells on the bar after each of `exits`."""
    frame = Frame("1d", MONDAY + DAY * np.arange(len(prices)), {instrument: bars_of(prices)})
    enter = Emission(at(entries, len(prices)), (Entry(instrument, 1, Size("weight", 1.0)),))
    leave = Emission(at(exits, len(prices)), (Exit(instrument),))
    return PortfolioBars(frame, (enter, leave), without_costs(cash), cash / 1_000.0)


def test_two_books_by_hand() -> None:
    """1,000 in two books of 500 that share again on Monday the 8th, bar 7.

    The first buys at 100 on bar 1 (5 units), sells at 120 on bar 5: 600. The second holds from bar 1 at 50 (10 units);
    at the close before bar 7 it is worth 400. Together 1,000, so each should have 500: the first hands 100 of its 600
    to the second, which has them in cash beside its 10 units. The first buys again at 125 on bar 8 with 500: 4 units,
    at 150 at the end: 600. The second ends with 100 + 10 x 60 = 700. The account: 1,300.
    """
    rises = [100.0, 100.0, 105.0, 110.0, 115.0, 120.0, 121.0, 122.0, 125.0, 150.0]
    falls = [50.0, 50.0, 48.0, 46.0, 44.0, 42.0, 40.0, 41.0, 45.0, 60.0]
    first, second = book(BTC, rises, [0, 7], [4], 500.0), book(ETH, falls, [0], [], 500.0)
    moments = boundaries(first.frame.time, 0, "weekly")
    ran, transfers = trade_books([first, second], 0, moments)
    whole = Frame("1d", first.frame.time, {**first.frame.bars, **second.frame.bars})
    account = together(whole, without_costs(1_000.0), ran, ["1", "2"])

    assert moments == [7]
    assert transfers[0].amounts == (pytest.approx(-100.0), pytest.approx(100.0))
    assert ran[0].equity.tolist() == pytest.approx([500, 500, 525, 550, 575, 600, 600, 500, 500, 600])
    assert ran[1].equity.tolist() == pytest.approx([500, 500, 480, 460, 440, 420, 400, 510, 550, 700])
    assert account.equity.tolist() == pytest.approx([1000, 1000, 1005, 1010, 1015, 1020, 1000, 1010, 1050, 1300])
    assert account.cash[7] == pytest.approx(600.0)
    assert account.trades.pnl.tolist() == pytest.approx([100.0, 100.0, 100.0])
    assert account.trades.tags == ["1", "1", "2"]
    # Money that stayed in the first book grew by 600/500, then by 600/500; in the second to 400/500, then 700/500.
    assert own_curve(ran[0], transfers, 0)[-1] == pytest.approx(1.2 * 1.2)
    assert own_curve(ran[1], transfers, 1)[-1] == pytest.approx(0.8 * 1.4)


def test_a_book_with_all_its_money_in_a_position_transfers_none() -> None:
    rises, flat = [100.0, 100.0, *[200.0] * 8], [50.0] * 10
    ran, transfers = trade_books([book(BTC, rises, [0], [], 500.0), book(ETH, flat, [], [], 500.0)], 0, [7])

    assert transfers[0].amounts == (0.0, 0.0)
    assert [each.equity[-1] for each in ran] == [1_000.0, 500.0]


@pytest.mark.parametrize("bars", [[], [40], [20, 40, 60, 80]])
def test_money_that_moves_is_neither_made_nor_lost(bars: list[int]) -> None:
    rng = np.random.default_rng(len(bars))
    walks = [(100.0 * np.exp(np.cumsum(rng.normal(0, 0.03, 100)))).tolist() for _ in range(3)]
    signals = [sorted(rng.choice(100, 20, replace=False).tolist()) for _ in range(6)]
    books = [book(BTC, walks[n], signals[2 * n], signals[2 * n + 1], (500.0, 300.0, 200.0)[n]) for n in range(3)]
    ran, transfers = trade_books(books, 0, bars)

    for transfer in transfers:
        assert sum(transfer.amounts) == pytest.approx(0.0, abs=1e-9)
    for number, each in enumerate(ran):
        moved = sum(transfer.amounts[number] for transfer in transfers)
        profit = float(each.trades.pnl.sum())
        assert each.final_equity == pytest.approx(each.settings.initial_cash + moved + profit)
        assert min(each.cash) >= -1e-9
    if not bars:
        alone = [simulate(b.frame, b.program, b.settings) for b in books]
        assert [each.equity.tolist() for each in ran] == [each.equity.tolist() for each in alone]


@pytest.mark.parametrize(
    ("rebalance", "days"),
    [
        ("weekly", ["2024-01-08", "2024-01-15", "2024-01-22"]),
        ("monthly", ["2024-02-01", "2024-03-01", "2024-04-01"]),
        ("quarterly", ["2024-04-01", "2024-07-01", "2024-10-01"]),
    ],
)
def test_periods_begin_on_mondays_and_first_days(rebalance: str, days: list[str]) -> None:
    time = MONDAY + DAY * np.arange(366)
    found = boundaries(time, 0, rebalance)  # pyright: ignore[reportArgumentType] - the parameters are of that type

    assert [str(np.datetime64(int(time[bar]), "s"))[:10] for bar in found[:3]] == days


TREND = """
emit_signal(crossover(ema(close, 10), ema(close, 30)), entry(TICKER, "LONG", Weight(1), stop_loss=0.05))
emit_signal(crossunder(ema(close, 10), ema(close, 30)), exit(TICKER))
"""


async def test_a_portfolio_is_a_result_like_any_other_with_its_books_beside(door: Door) -> None:
    first = await door.tested(description="Reversal on bitcoin")
    second = await door.tested(script=TREND, universe=["BINANCE:ETH/USDT"], description="Trend on ether")
    body = {"result_ids": [first, second], "weights": [3, 1], "rebalance": "monthly", "initial_cash": 20_000}
    started = await door.data("POST", "/backtest/portfolio", body)
    status = await door.ended(f"/backtest/status/{started['backtest_id']}")
    assert status["status"] == "completed", status
    result = await door.data("GET", f"/backtest/results/{status['result_id']}")
    rows = [dict(zip(result["portfolio"]["columns"], row, strict=True)) for row in result["portfolio"]["rows"]]
    trades = (await door.data("GET", f"/backtest/results/{status['result_id']}/trades?limit=1000"))["trades"]

    assert [row["book"] for row in rows] == ["1. Reversal on bitcoin", "2. Trend on ether", "account"]
    assert [row["initial_cash"] for row in rows] == [15_000, 5_000, 20_000]
    assert sum(row["final_equity"] for row in rows[:2]) == pytest.approx(rows[2]["final_equity"], rel=1e-5)
    assert sum(row["moved"] for row in rows) == pytest.approx(0.0, abs=0.1)
    assert sum(row["num_trades"] for row in rows[:2]) == len(trades) == rows[2]["num_trades"]
    assert {trade["tag"] for trade in trades} == {row["book"] for row in rows[:2]}
    assert result["metrics"]["total_return_pct"] == pytest.approx(rows[2]["total_return_pct"], rel=1e-4)
    assert "first bar of each month" in result["portfolio"]["rebalancing"]
    assert -1 <= result["portfolio"]["correlation"][0][1] <= 1
    picture = await door.data("POST", "/backtest/chart", {"result_id": status["result_id"], "kind": "allocation"})
    assert "At the end: 1. Reversal on bitcoin" in picture["alt"]
    refused = await door.send("POST", "/backtest/portfolio", {"result_ids": [first, status["result_id"]]})
    assert "cannot hold a portfolio" in refused.text
    ready = await door.data("GET", "/live-strategies")
    assert {first, second} <= {each["strategy_id"] for each in ready["strategies"]}
    assert status["result_id"] not in str(ready)
    undeployed = await door.send("POST", f"/live-strategies/{status['result_id']}/subscribe", {"mode": "signal"})
    assert "each strategy is deployed on its own" in undeployed.text


async def test_a_book_that_is_never_rebalanced_is_the_backtest_of_its_strategy(door: Door) -> None:
    alone = [await door.tested(), await door.tested(script=TREND)]
    started = await door.data("POST", "/backtest/portfolio", {"result_ids": alone})
    status = await door.ended(f"/backtest/status/{started['backtest_id']}")
    found = (await door.data("GET", f"/backtest/results/{status['result_id']}"))["portfolio"]

    for result_id, row in zip(alone, found["rows"], strict=False):
        metrics = await door.data("GET", f"/backtest/results/{result_id}/metrics")
        cells = dict(zip(found["columns"], row, strict=True))
        assert cells["num_trades"] == metrics["num_trades"]
        assert cells["total_return_pct"] == pytest.approx(metrics["total_return_pct"], rel=1e-3)
        assert cells["max_drawdown"] == pytest.approx(metrics["max_drawdown"], rel=1e-3)


async def test_portfolios_asked_for_many_times_at_once_are_one_job(door: Door) -> None:
    results = [await door.tested(initial_cash=cash) for cash in (8_000, 9_000)]
    busy = await door.data("POST", "/backtest/sweep", SWEEP | {"timeframe": "1h", "start_date": "2021-01-01"})
    found: list[Body] = []

    async def ask() -> None:
        found.append(await door.data("POST", "/backtest/portfolio", {"result_ids": results}))

    async with anyio.create_task_group() as calls:
        for _ in range(4):
            calls.start_soon(ask)
    other = await door.data("POST", "/backtest/portfolio", {"result_ids": results, "weights": [1, 2]})
    for job in (busy["sweep_id"], other["backtest_id"], found[0]["backtest_id"]):
        await door.data("POST", f"/backtest/cancel/{job}")

    assert len({each["backtest_id"] for each in found}) == 1
    assert sum("no second one was started" in "".join(each["warnings"]) for each in found) == 3
    assert other["backtest_id"] != found[0]["backtest_id"]
