"""What scripts can say about their account: `once`, moving stops, past trades, position limits, derived sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import pytest

from api.errors import InvalidInput
from api.symbols import Instrument
from engine.frame import Bars, Frame
from engine.language import ScriptContext, check_script, compile_script
from engine.program import Entry
from engine.simulation.kernel import simulate
from engine.simulation.result import Simulation
from engine.simulation.settings import SimulationSettings

BTC: Final = Instrument("binance", "BTC", "USDT")
ETH: Final = Instrument("binance", "ETH", "USDT")
SOL: Final = Instrument("binance", "SOL", "USDT")
FREE: Final = SimulationSettings(initial_cash=10_000.0, fee=0.0, slippage=0.0)
MIDNIGHT: Final = 1_700_006_400
"""2023-11-15 00:00 UTC."""


def _bars(prices: Sequence[float]) -> Bars:
    """Each bar opens at the previous price and closes at its own."""
    close = np.array(prices, dtype=np.float64)
    opened = np.concatenate((close[:1], close[:-1]))
    return Bars(opened, np.maximum(opened, close), np.minimum(opened, close), close, np.ones(len(close)), "imported")


def _run(script: str, prices: Sequence[float], *others: Instrument) -> Simulation:
    instruments = (BTC, *others)
    time = MIDNIGHT + np.arange(len(prices), dtype=np.int64) * 3600
    frame = Frame("1h", time, {each: _bars(prices) for each in instruments})
    return simulate(frame, compile_script(script, ScriptContext(instruments)).program(frame), FREE)


def test_an_exit_once_sells_its_part_once_in_each_position() -> None:
    script = """
emit_signal(bar_index == 0 or bar_index == 6, entry(TICKER, "LONG", Amount(8)))
emit_signal(unrealized_pnl_pct > 5, exit(TICKER, fraction=0.5, once=True))
emit_signal(bar_index == 4, exit(TICKER))
"""
    prices = [100.0, 100.0, 110.0, 110.0, 110.0, 110.0, 100.0, 100.0, 110.0, 110.0, 110.0]

    trades = list(_run(script, prices).trades.rows())
    without = list(_run(script.replace(", once=True", ""), prices).trades.rows())

    assert [t.amount for t in trades] == [4.0, 4.0, 4.0, 4.0]
    assert len(without) > len(trades)


def test_a_stop_moves_to_the_entry_and_never_back() -> None:
    script = """
emit_signal(bar_index == 0, entry(TICKER, "LONG", Amount(1), stop_loss=0.2))
emit_signal(unrealized_pnl_pct > 5, move_stop(TICKER, entry_price))
emit_signal(bar_index == 3, move_stop(TICKER, 50))
"""
    (trade,) = _run(script, [100.0, 100.0, 110.0, 108.0, 106.0, 104.0, 95.0, 120.0]).trades.rows()

    assert (trade.reason, trade.exit_price, trade.pnl) == ("stop_loss", 100.0, 0.0)


def test_a_stop_that_follows_the_highest_price_is_decided_with_that_of_the_bar() -> None:
    script = """
emit_signal(bar_index == 0, entry(TICKER, "LONG", Amount(1)))
emit_signal(position > 0, move_stop(TICKER, highest_since_entry - 10))
"""
    (trade,) = _run(script, [100.0, 100.0, 120.0, 130.0, 125.0, 118.0, 140.0]).trades.rows()

    assert (trade.reason, trade.exit_price) == ("stop_loss", 120.0)


@pytest.mark.parametrize(
    ("condition", "bars"),
    [
        ("highest_since_entry >= 130", [3, 4]),
        ("lowest_since_entry <= 90", [4]),
        ("bars_since_exit == 2", [7]),
        ("last_trade_pnl_pct < -5", [5, 6, 7, 8]),
        ("trades_today == 1", [1, 2, 3, 4, 5, 6, 7, 8]),
        ("open_positions == 1", [1, 2, 3, 4]),
    ],
)
def test_a_script_knows_its_position_and_its_trades(condition: str, bars: list[int]) -> None:
    """In from bar 1 at 100 to bar 5 at 90; the extremes are those of bars 1 to 4."""
    prices = [100.0, 100.0, 110.0, 130.0, 90.0, 90.0, 90.0, 90.0, 90.0]
    script = f"""
emit_signal(bar_index == 0, entry(TICKER, "LONG", Amount(1)))
emit_signal(bar_index == 4, exit(TICKER))
emit_signal({condition}, entry("BINANCE:ETH/USDT", "LONG", Amount(0.001), pyramiding=100, tag="seen"))
"""
    time = MIDNIGHT + np.arange(len(prices), dtype=np.int64) * 3600
    frame = Frame("1h", time, {BTC: _bars(prices), ETH: _bars([10.0] * len(prices))})
    cross = script.replace("TICKER", '"BINANCE:BTC/USDT"')
    for name in ("highest_since_entry", "lowest_since_entry", "bars_since_exit", "last_trade_pnl_pct", "trades_today"):
        cross = cross.replace(f"{name} ", f'{name}["BINANCE:BTC/USDT"] ')
    if condition.startswith("open_positions"):
        cross = cross.replace(
            'entry("BINANCE:ETH/USDT", "LONG", Amount(0.001), pyramiding=100, tag="seen")', 'exit("BINANCE:ETH/USDT")'
        )
    script_ = compile_script(cross, ScriptContext((BTC, ETH), mode="cross"))
    program = script_.program(frame)
    assert not isinstance(program, tuple)
    seen: list[int] = []
    decide = program.decide

    class Watched:
        """The program, with the bars on which its third signal fires."""

        def decide(self, bar: int, account: object) -> object:
            """The program's decision."""
            found = decide(bar, account)  # pyright: ignore[reportArgumentType] - the kernel's own
            seen.extend(bar for each in found if each.instrument == ETH)
            return found

    simulate(frame, Watched(), FREE)  # pyright: ignore[reportArgumentType] - a program by its one method

    assert seen == bars


def test_no_more_tickers_have_a_position_than_max_positions_allows() -> None:
    script = 'emit_signal(bar_index == 0, entry(TICKER, "LONG", Weight(0.1), max_positions=2))'

    result = _run(script, [100.0] * 5, ETH, SOL)

    assert len(result.trades) == 2


def test_a_volatility_target_is_the_weight_at_which_the_ticker_moves_so_much() -> None:
    rng = np.random.default_rng(3)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0, 0.01, 60)))
    time = MIDNIGHT + np.arange(60, dtype=np.int64) * 3600
    frame = Frame("1h", time, {BTC: _bars(close.tolist())})
    script = 'emit_signal(close > 0, entry(TICKER, "LONG", VolTarget(0.3, period=10, most=2)))'

    program = compile_script(script, ScriptContext((BTC,))).program(frame)
    assert isinstance(program, tuple)
    (emission,) = program
    (entry,) = emission.intents
    assert isinstance(entry, Entry)
    yearly = np.diff(np.log(close))[-10:].std(ddof=1) * math.sqrt(8_760)
    assert float(np.asarray(entry.size.value)[-1]) == pytest.approx(min(0.3 / yearly, 2.0))


@pytest.mark.parametrize(
    ("sizing", "weight"),
    [
        ("Kelly(0.55, 1.5)", 0.25),
        ("Kelly(0.55, 1.5, most=0.5)", 0.25),
        ("Kelly(0.4, 2)", 0.1),
        ("Kelly(0.7, 1, most=0.3)", 0.3),
    ],
)
def test_a_kelly_size_is_the_edge_over_the_odds_up_to_its_cap(sizing: str, weight: float) -> None:
    frame = Frame("1h", MIDNIGHT + np.arange(5, dtype=np.int64) * 3600, {BTC: _bars([100.0] * 5)})
    script = f'emit_signal(close > 0, entry(TICKER, "LONG", {sizing}))'

    program = compile_script(script, ScriptContext((BTC,))).program(frame)
    assert isinstance(program, tuple)
    (emission,) = program
    (entry,) = emission.intents
    assert isinstance(entry, Entry)
    assert entry.size.value == pytest.approx(weight)


@pytest.mark.parametrize(
    "wrong",
    ["exit(TICKER, once=1)", "move_stop(TICKER)", 'entry(TICKER, "LONG", VolTarget())', 'entry(TICKER, "LONG", Kelly(0.5))',  # noqa: E501
     'entry(TICKER, "LONG", VolTarget(0.2, period=close))', 'entry(TICKER, "LONG", Weight(1), max_positions=0)'],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(wrong: str) -> None:
    assert not check_script(f"emit_signal(close > open, {wrong})", ScriptContext((BTC,))).ok


@pytest.mark.parametrize("option", ["stop_loss=natr(3) + natr(3)", "trailing_stop=volume", "take_profit=volume * 200"])
@pytest.mark.parametrize("condition", ["close > 0", "close > 0 and equity > 0"])
def test_a_computed_stop_that_is_no_fraction_is_refused_when_it_fires(option: str, condition: str) -> None:
    script = f'emit_signal({condition}, entry(TICKER, "LONG", Weight(0.5), {option}))'

    with pytest.raises(InvalidInput, match="is a fraction of the entry price"):
        _run(script, [100.0, 120.0, 100.0, 120.0, 100.0, 120.0, 100.0])
