"""Scripts and their compiled form, in both modes, static and stateful."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.errors import InvalidInput
from api.symbols import Instrument
from engine.frame import Floats, Frame
from engine.language import DslError, ScriptContext, check_script, compile_script, script_parameters
from engine.program import AccountState, Entry, Exit, Grid, PositionState, Rebalance, StaticProgram
from tests.candle_files import rsi_answer
from tests.engine.language.dsl_markets import BTC, ETH, PERP, frame_of, prefix, recorded

EXAMPLE: Final = 'oversold = rsi(close, 14) < 30\nemit_signal(oversold, entry("BINANCE:BTC/USDT", "LONG", Weight(0.5)))'
FLAT: Final = AccountState(10_000.0, 10_000.0, 0.0, {})


def _static(source: str, context: ScriptContext, frame: Frame, first_bar: int = 0) -> StaticProgram:
    program = compile_script(source, context).program(frame, first_bar)
    assert isinstance(program, tuple)
    return program


def test_the_example_of_the_api_document_compiles_unchanged() -> None:
    frame = frame_of(BTC, count=300)

    script = compile_script(EXAMPLE, ScriptContext((BTC,)))
    (emission,) = _static(EXAMPLE, ScriptContext((BTC,)), frame)

    assert script.instruments == (BTC,)
    assert (script.lookback, script.stateful) == (14, False)
    assert script.warmup_bars >= 14
    (entry,) = emission.intents
    assert isinstance(entry, Entry)
    assert (entry.instrument, entry.side, entry.size.kind, entry.size.value) == (BTC, 1, "weight", 0.5)
    assert emission.condition.any()


def test_nothing_fires_before_the_first_bar_of_the_range() -> None:
    frame = frame_of(BTC, count=300)

    (whole,) = _static(EXAMPLE, ScriptContext((BTC,)), frame)
    (later,) = _static(EXAMPLE, ScriptContext((BTC,)), frame, 120)

    assert not later.condition[:120].any()
    np.testing.assert_array_equal(later.condition[120:], whole.condition[120:])


def test_isolated_runs_once_for_each_ticker_and_intents_act_in_their_own_run() -> None:
    frame = frame_of(BTC, ETH, count=300)
    source = """
emit_signal(close > sma(close, 5), entry(TICKER, "LONG", Weight(0.5)))
for t in TICKERS:
    emit_signal(close[t] < sma(close[t], 5), exit(t))
emit_signal(close > 0, [exit("BINANCE:ETH/USDT"), exit(TICKER)])
"""

    program = _static(source, ScriptContext((BTC, ETH)), frame)

    traded = [[intent.instrument for intent in emission.intents] for emission in program]
    assert traded == [[BTC], [BTC], [BTC], [ETH], [ETH], [ETH, ETH]]
    assert not np.array_equal(program[0].condition, program[3].condition)
    np.testing.assert_array_equal(program[4].condition, frame.bars[ETH].close < _sma(frame, ETH))


def _sma(frame: Frame, instrument: Instrument) -> Floats:
    import talib

    return talib.SMA(frame.bars[instrument].close, 5)


def test_cross_runs_once_and_every_series_names_its_ticker() -> None:
    frame = frame_of(BTC, ETH, count=300)
    context = ScriptContext((BTC, ETH), mode="cross")
    source = """
spread = close["BINANCE:BTC/USDT"] / close["BINANCE:ETH/USDT"]
for t in TICKERS:
    emit_signal(zscore(spread, 20) < -1 and atr(5)[t] > 0, entry(t, "LONG", Weight(0.5)))
"""

    program = _static(source, context, frame)

    assert [emission.intents[0].instrument for emission in program] == [BTC, ETH]
    with pytest.raises(DslError, match="every series names its ticker"):
        compile_script('emit_signal(close > 1, exit("BINANCE:BTC/USDT"))', context)
    with pytest.raises(DslError, match="no TICKER of its own"):
        compile_script('emit_signal(close["BINANCE:BTC/USDT"] > 1, exit(TICKER))', context)


def test_a_ticker_that_is_only_read_is_loaded_too() -> None:
    script = compile_script('emit_signal(close["BINANCE:ETH/USDT"] > 1, exit(TICKER))', ScriptContext((BTC,)))

    assert script.instruments == (BTC, ETH)


def test_all_intents_and_sizings_carry_their_options() -> None:
    frame = frame_of(PERP, count=200)
    source = """
stop = 2 * atr(14) / close
emit_signal(close > open, [
    entry(TICKER, "SHORT", Risk(0.01), limit=close * 1.01, stop_loss=stop, take_profit=0.1, trailing_stop=0.05,
          tag="dip", pyramiding=3),
    exit(TICKER, side="LONG", fraction=0.5, tag="half"),
    rebalance(TICKER, Weight(-0.25)),
    grid(TICKER, lower=close * 0.9, upper=110, levels=10, size=Notional(100), spacing="geometric"),
    entry(TICKER, "long", Amount(volume / 100)),
])
"""

    (emission,) = _static(source, ScriptContext((PERP,)), frame)

    short, half, target, grid, long = emission.intents
    assert isinstance(short, Entry)
    assert (short.side, short.size.kind, short.size.value, short.tag, short.pyramiding) == (-1, "risk", 0.01, "dip", 3)
    assert (short.take_profit, short.trailing_stop) == (0.1, 0.05)
    assert isinstance(short.limit, np.ndarray)
    np.testing.assert_allclose(short.limit, frame.bars[PERP].close * 1.01)
    assert isinstance(short.stop_loss, np.ndarray)
    assert half == Exit(PERP, 1, 0.5, "half")
    assert target == Rebalance(PERP, -0.25)
    assert isinstance(grid, Grid)
    assert (grid.upper, grid.levels, grid.spacing, grid.size.value) == (110, 10, "geometric", 100)
    np.testing.assert_allclose(grid.lower, frame.bars[PERP].close * 0.9)
    assert isinstance(long, Entry)
    assert long.side == 1


@pytest.mark.parametrize(
    "line",
    [
        "x = sma(close, 20)  # price above the 50 period EMA",
        "x = 5 # at least 20 bars, or 50k",
        "x = close  # if this then buy; strategy.entry('L')",
        "x = close # buy when the close crosses above the 20 day high",
    ],
)
def test_the_words_of_a_comment_are_not_the_script(line: str) -> None:
    script = f'{line}\nemit_signal(close > x + 1, entry(TICKER, "LONG", Weight(0.5), tag="5% above the 20 EMA"))'

    assert check_script(script, ScriptContext((BTC, ETH))).ok


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('emit_signal(close > 1, entry(TICKER, "SHORT", Weight(1)))', "cannot be sold short"),
        ("emit_signal(close > 1, rebalance(TICKER, Weight(-1)))", "cannot be sold short"),
        ('emit_signal(close > 1, entry("BINANCE:SOL/USDT", "LONG", Weight(1)))', "not in the universe"),
        ('emit_signal(close > 1, entry("NOWHERE:BTC/USDT", "LONG", Weight(1)))', "NOWHERE"),
        ('emit_signal(close > 1, entry(TICKER, "BUY", Weight(1)))', 'neither "LONG" nor "SHORT"'),
        ('emit_signal(close > 1, entry(TICKER, "LONG", 0.5))', "a size says what it is"),
        ('emit_signal(close > 1, entry(TICKER, "LONG", Weight(0)))', "size must be above 0"),
        ('emit_signal(close > 1, entry(TICKER, "LONG", Weight(-1)))', "size must be above 0"),
        ('emit_signal(close > 1, entry(TICKER, "LONG", Notional(-5)))', "above 0"),
        ('emit_signal(close > 1, entry(TICKER, "LONG", Risk(0.01)))', "needs a stop"),
        ('emit_signal(close > 1, entry(TICKER, "LONG", Weight(1), stop_loss=5))', "a fraction: 0.05 is 5 %"),
        ('emit_signal(close > 1, entry(TICKER, "LONG", Weight(1), stop=5))', "no option `stop`"),
        ('emit_signal(close > 1, entry(TICKER, "LONG"))', "entry needs a size"),
        ("emit_signal(close > 1, exit(TICKER, fraction=2))", "at most 1"),
        ("emit_signal(close > 1, rebalance(TICKER, Notional(5)))", "moves to a weight"),
        ("emit_signal(close > 1, grid(TICKER, 5, 4, 10, Notional(1)))", "not below its upper"),
        ("emit_signal(close > 1, grid(TICKER, 4, 5, 1, Notional(1)))", "levels"),
        ("emit_signal(close, exit(TICKER))", "a condition is needed"),
        ("emit_signal(close > 1, close)", "is no intent"),
        ("emit_signal(close > 1)", "takes a condition and an intent"),
        ("emit_signal(close > 1, [])", "list of intents is empty"),
        ("sma(equity, 5)", "past is not kept"),
        ("x = equity[-2]", "past is not kept"),
        ('x = tf("4h", equity)', "over the account"),
        ("x = macd(close)", "gives 3 series"),
        ("x, y = macd(close)", "gives 3 series, not 2"),
        ("x, y = close", "cannot be unpacked"),
        ("close = 5", "word of the language"),
        ("x = 1\nx = 2", "already has a value"),
        ("for t in TICKERS:\n    y = close[t]\nz = y", "unknown name"),
        ("for t in close:\n    y = 1", "runs over tickers"),
        ("if close > 1:\n    x = 1", "no if statement"),
        ("close > 1", "alone does nothing"),
        ("entry(TICKER, 'LONG', Weight(1))", "alone does nothing"),
        ("x = 1", "never calls emit_signal"),
    ],
)
def test_a_wrong_line_is_refused(line: str, message: str) -> None:
    report = check_script(line, ScriptContext((BTC, ETH)))

    assert not report.ok
    assert any(message in d.message for d in report.diagnostics), report.diagnostics


def test_all_errors_of_a_script_come_at_once_and_are_corrected_together() -> None:
    source = """slow = smaa(close, 20)
dip = Close < slow && close[1] > slow
emit_signal(dip, entry(TICKER, "LONG", Weight(0.5), stop_loss=5))
"""

    report = check_script(source, ScriptContext((BTC,)))

    assert [d.line for d in report.diagnostics] == [1, 2, 2, 2, 3]
    assert report.fixed is not None
    assert check_script(report.fixed, ScriptContext((BTC,))).ok
    assert "stop_loss=0.05" in report.fixed


def test_a_number_with_too_many_digits_to_read_is_refused_in_the_words_of_the_language() -> None:
    source = f"emit_signal(close > {'9' * 5_000}, exit(TICKER))"

    (found,) = (d for d in check_script(source, ScriptContext((BTC,), "1h")).diagnostics if d.severity == "error")

    assert found.message == "this number is too large"


def test_an_empty_universe_is_refused() -> None:
    with pytest.raises(InvalidInput, match="universe is empty"):
        compile_script(EXAMPLE, ScriptContext(()))


def test_a_period_longer_than_the_frame_is_refused() -> None:
    script = compile_script("emit_signal(close > sma(close, 900), exit(TICKER))", ScriptContext((BTC,)))

    with pytest.raises(InvalidInput, match="needs 900 bars, the history holds 100"):
        script.program(frame_of(BTC, count=100))


def test_context_words_are_known_when_the_script_is_read() -> None:
    source = 'emit_signal(TIMEFRAME == "1h" and EXCHANGE == "binance" and TICKER == "BINANCE:ETH/USDT", exit(TICKER))'

    btc, eth = _static(source, ScriptContext((BTC, ETH), exchange="binance"), frame_of(BTC, ETH, count=50))

    assert not btc.condition.any()
    assert eth.condition.all()


def test_bars_are_numbered_from_the_first_of_the_range() -> None:
    (emission,) = _static(
        "emit_signal(bar_index == 3, exit(TICKER))", ScriptContext((BTC,)), frame_of(BTC, count=50), 20
    )

    assert np.flatnonzero(emission.condition).tolist() == [23]


STATELESS: Final = """
fast = ema(close, 5)
slow = ema(close, 12)
up = crossover(fast, slow) and hour != 3 or close / open - 1 > 0.02
emit_signal(up{extra}, entry(TICKER, "LONG", Weight(clip(atr(5) / close * 10, 0.1, 1)), stop_loss=2 * atr(5) / close))
emit_signal(crossunder(fast, slow){extra}, exit(TICKER))
"""


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_asked_bar_by_bar_a_script_decides_what_it_decides_in_one_pass(seed: int) -> None:
    frame = frame_of(BTC, ETH, count=150, seed=seed)
    context = ScriptContext((BTC, ETH))
    at_once = _static(STATELESS.format(extra=""), context, frame, 10)
    stateful = compile_script(STATELESS.format(extra=" and equity > 0"), context)
    asked = stateful.program(frame, 10)

    assert stateful.stateful
    assert not isinstance(asked, tuple)
    for bar in range(150):
        wanted = [_on(intent, bar) for emission in at_once if emission.condition[bar] for intent in emission.intents]
        assert [_on(intent, 0) for intent in asked.decide(bar, FLAT)] == [w for w in wanted if None not in w]


def _on(intent: object, bar: int) -> tuple[object, ...]:
    """An intent's instrument and numbers on a bar; None where unknown."""

    def number(value: object) -> float | None:
        found = float(value[bar]) if isinstance(value, np.ndarray) else value
        return None if found != found else found  # pyright: ignore[reportReturnType] - a float

    if isinstance(intent, Entry):
        return intent.instrument, intent.side, number(intent.size.value), number(intent.stop_loss)
    assert isinstance(intent, Exit)
    return intent.instrument, "exit"


def test_state_is_that_of_the_ticker_and_the_account() -> None:
    source = """
emit_signal(position_side == "LONG" and unrealized_pnl_pct > 5 and bars_in_position >= 2, exit(TICKER, tag="profit"))
emit_signal(position == 0 and drawdown_pct > -10 and cash / equity > 0.5, entry(TICKER, "LONG", Weight(0.5)))
emit_signal(nz(entry_price, 1) > close * 2, exit(TICKER, tag="crash"))
"""
    program = compile_script(source, ScriptContext((BTC, ETH))).program(frame_of(BTC, ETH, count=30))
    held = PositionState(1, 2.0, 100.0, 3, 6.0)
    account = AccountState(10_000.0, 6_000.0, -1.0, {BTC: held})

    assert not isinstance(program, tuple)
    decided = program.decide(10, account)

    assert [(type(i), i.instrument, i.tag) for i in decided] == [(Exit, BTC, "profit"), (Entry, ETH, None)]
    assert program.decide(11, AccountState(10_000.0, 1_000.0, -20.0, {BTC: held}))[0].tag == "profit"


def test_state_in_cross_mode_names_its_ticker() -> None:
    source = "for t in TICKERS:\n    emit_signal(position[t] < 0 and roc(close, 3)[t] > -100, exit(t))"
    program = compile_script(source, ScriptContext((BTC, PERP), mode="cross")).program(frame_of(BTC, PERP, count=30))
    account = AccountState(1.0, 1.0, 0.0, {PERP: PositionState(-1, 2.0, 100.0, 3, 6.0)})

    assert not isinstance(program, tuple)
    assert [intent.instrument for intent in program.decide(20, account)] == [PERP]


SIDES: Final = {"LONG": 1, "SHORT": -1, "FLAT": 0}


@pytest.mark.parametrize("mode", ["isolated", "cross"])
@pytest.mark.parametrize("written", [*SIDES, "long", "Short", "1", "-1", "0"])
@pytest.mark.parametrize("unlike", [False, True])
def test_a_side_is_compared_by_name_or_number_in_both_modes(mode: str, written: str, unlike: bool) -> None:
    """Three perpetuals: the first long, the second short, the third without a position."""
    universe = tuple(Instrument("binancefuturesusd", base, "USDT") for base in ("BTC", "ETH", "SOL"))
    side = written if written.lstrip("-").isdigit() else f'"{written}"'
    sign = "!=" if unlike else "=="
    if mode == "cross":
        source = f"for t in TICKERS:\n    emit_signal(position_side[t] {sign} {side}, exit(t))"
        context = ScriptContext(universe, mode="cross")
    else:
        source = f"emit_signal({side} {sign} position_side, exit(TICKER))"
        context = ScriptContext(universe)
    program = compile_script(source, context).program(frame_of(*universe, count=30))
    states = {universe[0]: PositionState(1, 2.0, 100.0, 3, 6.0), universe[1]: PositionState(-1, 2.0, 100.0, 3, 6.0)}

    assert not isinstance(program, tuple)
    decided = program.decide(20, AccountState(1.0, 1.0, 0.0, states))

    wanted = SIDES[written.upper()] if written.upper() in SIDES else int(written)
    expected = [each for each, held in zip(universe, (1, -1, 0), strict=True) if (held == wanted) is not unlike]
    assert [intent.instrument for intent in decided] == expected


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(40, 199))
def test_signals_of_a_whole_script_never_change_with_later_bars(seed: int, cut: int) -> None:
    frame = frame_of(BTC, ETH, count=200, seed=seed)
    source = """
trend = tf("4h", ema(close, 3) > ema(close, 5))
strength = zscore(close / close["BINANCE:ETH/USDT"], 12)
line, signal, hist = macd(close, 4, 8, 3)
best = cs_rank(roc(close, 6)) <= 1
emit_signal(trend and crossover(line, signal) or strength < -1, entry(TICKER, "LONG", Weight(0.3 if best else 0.1)))
emit_signal(hist[-2] < 0 and not trend or pivot_high(2, 2) > close * 1.1, exit(TICKER))
"""
    context = ScriptContext((BTC, ETH))

    whole, part = _static(source, context, frame), _static(source, context, prefix(frame, cut))

    for all_bars, first_bars in zip(whole, part, strict=True):
        np.testing.assert_array_equal(all_bars.condition[:cut], first_bars.condition)


def test_a_script_gives_the_answer_of_a_plain_loop(btc_hours: Path) -> None:
    from engine.simulation.kernel import simulate
    from engine.simulation.settings import SimulationSettings

    frame = recorded(btc_hours)
    source = (
        'r = rsi(close, 14)\nemit_signal(r < 30, entry(TICKER, "LONG", Weight(1)))\nemit_signal(r > 70, exit(TICKER))'
    )
    program = _static(source, ScriptContext((BTC,)), frame)

    result = simulate(frame, program, SimulationSettings(initial_cash=10_000.0, fee=0.0005, slippage=0.0), 0)

    trades, equity = rsi_answer(btc_hours, fee=0.0005)
    assert len(result.trades.pnl) == trades
    assert result.final_equity == pytest.approx(equity, abs=1e-8)


PARAMETERS: Final = """
fast = param("fast", 10, 5, 50, 5)
limit = param("limit", 0.3, 0.1, 0.9)
emit_signal(sma(close, fast) > limit, exit(TICKER))
"""


def test_a_parameter_takes_its_default_and_can_be_a_period() -> None:
    script = compile_script(PARAMETERS, ScriptContext((BTC,)))

    fast, limit = script_parameters(PARAMETERS, ScriptContext((BTC,)))
    assert (fast.name, fast.default, fast.low, fast.high, fast.step, fast.value) == ("fast", 10, 5, 50, 5, 10)
    assert (limit.name, limit.step, limit.value) == ("limit", None, 0.3)
    assert script.lookback == 9
    assert "Parameters: fast = 10 (5 to 50 in steps of 5), limit = 0.3 (0.1 to 0.9)." in script.plan_text


def test_a_parameter_that_is_set_gives_the_script_with_that_number_in_it() -> None:
    frame = frame_of(BTC, count=100)
    context = ScriptContext((BTC,), parameters=(("fast", 20.0), ("limit", 0.5)))

    (emission,) = _static(PARAMETERS, context, frame)
    (written,) = _static("emit_signal(sma(close, 20) > 0.5, exit(TICKER))", ScriptContext((BTC,)), frame)

    np.testing.assert_array_equal(emission.condition, written.condition)
    assert "fast = 20 (5 to 50 in steps of 5, 10 by default)" in compile_script(PARAMETERS, context).plan_text


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("fast", 51.0, "is set to 51, outside 5 to 50"), ("slow", 10.0, "no parameter `slow`. It has fast, limit")],
)
def test_a_setting_that_the_script_does_not_allow_is_refused(name: str, value: float, words: str) -> None:
    with pytest.raises(DslError) as caught:
        compile_script(PARAMETERS, ScriptContext((BTC,), parameters=((name, value),)))

    assert words in str(caught.value)


@pytest.mark.parametrize(
    "declared",
    [
        'param("fast", 60, 5, 50)',
        'param("fast", 10, 5)',
        "param(fast, 10, 5, 50)",
        'param("fast", close, 5, 50)',
        'param("fast", 10, 5, 50, 0)',
        'param("fast one", 10, 5, 50)',
        'param("fast", 10, 5, 50, 5, 5)',
        'param("fast", 10, 5, 50) + param("fast", 11, 5, 50)',
    ],
)
def test_a_parameter_that_cannot_be_set_is_refused(declared: str) -> None:
    report = check_script(f"emit_signal(sma(close, 9) > {declared}, exit(TICKER))", ScriptContext((BTC,)))

    assert not report.ok
