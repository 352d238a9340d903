"""The linter's doubts, and the plan in words."""

from __future__ import annotations

import pytest

from api.symbols import resolve
from engine.language import ScriptContext, check_script
from tests.engine.language.dsl_markets import BTC, ETH

EXIT = "emit_signal(crossunder(close, sma(close, 9)), exit(TICKER))"


def _rules(source: str, bars: int | None = None) -> list[str]:
    report = check_script(source, ScriptContext((BTC, ETH), bars=bars))

    assert report.ok, report.diagnostics
    return [d.code for d in report.diagnostics]


@pytest.mark.parametrize(
    ("condition", "rule"),
    [
        ("rsi(close, 14) > 100", "never-true"),
        ("rsi(close, 14) < 0", "never-true"),
        ("close < 0", "never-true"),
        ("close > close", "never-true"),
        ("hour == 24", "never-true"),
        ("hour > 25 and close > open", "never-true"),
        ("rsi(close, 14) > 70 and rsi(close, 14) < 30", "never-true"),
        ("stoch_k(14, 3, 3) > 150", "never-true"),
        ("willr(14) > 20", "never-true"),
        ("2 > 3", "never-true"),
        ("drawdown_pct > 5", "never-true"),
        ("count_if(close > open, 5) < 0", "never-true"),
        ("tf('4h', rsi(close, 14)) > 101", "never-true"),
        ("rsi(close, 14)[-2] > 101", "never-true"),
        ("abs(close - open) < 0", "never-true"),
        ("rsi(close, 14) / 100 > 1", "never-true"),
        ("rsi(close, 14) >= 0", "always-true"),
        ("close >= close", "always-true"),
        ("weekday < 7", "always-true"),
        ("3 > 2", "always-true"),
        ("rsi(close, 14) < 101 or close > open", "always-true"),
        ("sma(close, 5) == sma(close, 9)", "exact-equality"),
        ("rsi(close, 14) == 30", "exact-equality"),
        ("close > max(open, 20)", "extreme-of-bar"),
        ("close > highest(high, 20)", "never-true"),
        ("close > highest(close, 20)", "never-true"),
        ("hl2 < lowest(low, 10)", "never-true"),
        ("donchian_upper(20) < high", "never-true"),
        ("close < donchian_lower(20)", "never-true"),
        ("crossover(close, highest(close, 20))", "never-true"),
        ("crossunder(low, donchian_lower(55))", "never-true"),
        ("high > session_high()", "never-true"),
        ("close > high", "never-true"),
        ("close['BINANCE:ETH/USDT'] > high['BINANCE:ETH/USDT']", "never-true"),
        ("tf('4h', close) > tf('4h', highest(high, 9))", "never-true"),
        ("close > max(high, open)", "never-true"),
        ("high < open", "never-true"),
        ("close >= highest(high, 20) * 1.01", "never-true"),
        ("close <= 0.99 * lowest(low, 20)", "never-true"),
        ("close[-6] > highest(close, 20)", "never-true"),
        ("sma(close, 20) > highest(high, 50)", "never-true"),
        ("lowest(low, 50) > lowest(low, 20)", "never-true"),
        ("percentile(close, 30, 90) < percentile(close, 30, 10)", "never-true"),
        ("bbands_upper(close, 20) < close < bbands_lower(close, 20)", "never-true"),
        ("keltner_lower(20) > keltner_upper(20)", "never-true"),
        ("close > open and close < open", "never-true"),
        ("close > sma(close, 9) and sma(close, 9) > open and open > close", "never-true"),
        ("crossover(close, sma(close, 9)) and close < sma(close, 9)", "never-true"),
        ("rising(close, 3) and falling(close, 3)", "never-true"),
        ("count_if(close > open, 10) > 10", "never-true"),
        ("bars_since_highest(high, 20) >= 20", "never-true"),
        ("zscore(close, 20) > 5", "never-true"),
        ("bb_percent(close, 20, 2) > 80", "never-true"),
        ("drawdown(close, 100) > 0", "never-true"),
        ("supertrend_direction(10, 3) == 0", "never-true"),
        ("close > 0", "always-true"),
        ("close < highest(high, 20) * 1.01", "always-true"),
        ("pivot_points_s1() <= pivot_points_r1()", "always-true"),
        ("cci(20) < -0.5", "scale"),
        ("crossover(rsi(close, 14), 0.3)", "scale"),
        ("between(mfi(14), 0.2, 80)", "scale"),
        ("sma(rsi(close, 14), 3) < 0.3", "scale"),
        ("bb_width(close, 20) < 5", "scale"),
        ("kdj_k(9) < 0.2", "scale"),
        ("low > close + atr(14)", "never-true"),
        ("close > highest(high, 20) * 1.01", "never-true"),
        ("close / highest(close, 50) > 1", "never-true"),
        ("close / highest(close, 50) - 1 > 0.02", "never-true"),
        ("close - highest(high, 20) > 0", "never-true"),
        ("close < lowest(low, 20) - atr(14)", "never-true"),
        ("volume > highest(volume, 20)", "never-true"),
        ("high - low < 0", "never-true"),
        ("high >= low", "always-true"),
        ("cdl_hammer() == 1", "never-true"),
        ("unrealized_pnl_pct > 0.05", "scale"),
        ("rsi(close, 14) < 0.3", "scale"),
        ("0.8 < stoch_k()", "scale"),
        ("willr(14) > -0.2", "scale"),
        ("roc(close, 10) > 0.05", "scale"),
        ("returns > 2", "scale"),
        ("pct_change(close, 5) < -3", "scale"),
        ("beta(returns, returns['BINANCE:ETH/USDT'], 30) > 1.5", "returns-of-returns"),
        ("hour == 9.5", "never-true"),
        ("minute == 7.25 and close > open", "never-true"),
        ("count_if(close > open, 10) == 2.5", "never-true"),
        ("roc(close, 10) < -100", "never-true"),
        ("ppo(close, 12, 26) < -250", "never-true"),
        ("rocr(close, 7) < 0", "never-true"),
        ("sma(high, 20) < sma(low, 20)", "never-true"),
        ("ema(close, 34) > ema(high, 34)", "never-true"),
        ("wma(hlc3, 9) < wma(low, 9)", "never-true"),
        ("position == 0 and bars_in_position > 5", "never-true"),
        ("position_side == 0 and unrealized_pnl_pct < -3", "never-true"),
        ("position == 0 and close < entry_price * 0.95", "never-true"),
        ("all_in(close > open, 3) and close < open", "never-true"),
        ("rsi(close, 14) < 30 or rsi(close, 14) >= 30", "always-true"),
        ("close > open or close <= open", "always-true"),
        ("close < 100 or high > 90", "always-true"),
    ],
)
def test_a_doubtful_condition_is_noticed(condition: str, rule: str) -> None:
    source = f'emit_signal({condition}, entry(TICKER, "LONG", Weight(0.5), stop_loss=0.1))'

    assert _rules(source) == [rule]


@pytest.mark.parametrize(
    ("condition", "said"),
    [("cci(30) > 0.7", "that reaches hundreds with 0.7"), ("mfi(9) > 0.7", "in percent with 0.7")],
)
def test_a_threshold_off_the_scale_is_reported_in_the_unit_of_the_value(condition: str, said: str) -> None:
    source = f'emit_signal({condition}, entry(TICKER, "LONG", Weight(0.5), stop_loss=0.1))'

    [found] = check_script(source, ScriptContext((BTC,))).diagnostics
    assert said in found.message


@pytest.mark.parametrize(
    "condition",
    [
        "rsi(close, 14) > 70 and close > open",
        "close > lag(highest(high, 20), 1)",
        "close >= highest(close, 20)",
        "close > highest(high, 20) * 0.99",
        "close / lag(highest(close, 50), 1) > 1",
        "close > tf('4h', highest(high, 9))",
        "close > high['BINANCE:ETH/USDT']",
        "highest(high, 20) - close < atr(14)",
        "unrealized_pnl_pct > 0.5",
        "cdl_engulfing() == -100",
        "hour == 5 and weekday != 6",
        "hour != 9.5 or close > open",
        "position == 0 and bars_since_exit > 5",
        "position == 0 and bars_in_position == 0 and close > open",
        "position != 0 and bars_in_position > 5",
        "position >= 0 and bars_in_position > 5",
        "position['BINANCE:ETH/USDT'] == 0 and bars_in_position > 5",
        "sma(high, 20) < sma(low, 21)",
        "ema(close, 20) < ema(open, 20)",
        "roc(close, 10) < -10",
        "roc(macd_line(close, 12, 26, 9), 10) < -150",
        "close < 90 or high > 100",
        "rsi(close, 14) < 30 or rsi(close, 14) > 30",
        "all_in(close > open, 3) and close > lag(close, 1)",
        "position == 0",
        "cdl_engulfing() == 100",
        "bars_since(close > open) == 3",
        "lag(sign(close - open), 1) == 1",
        "cs_rank(close) == 1",
        "supertrend_direction() == 1",
        "roc(close, 5) < 0 or roc(close, 5) > 10",
        "20 < rsi(close, 14) < 30",
        "rsi(close, 14) < 30 or rsi(close, 14) > 70",
        "round(close) == 5",
        "bar_index % 24 == 0",
    ],
)
def test_a_sound_condition_is_not(condition: str) -> None:
    source = f'emit_signal({condition}, entry(TICKER, "LONG", Weight(0.5), stop_loss=0.1))'

    assert _rules(source) == []


@pytest.mark.parametrize(
    ("source", "rules"),
    [
        ('emit_signal(close > open, entry(TICKER, "LONG", Weight(1)))', ["missing-exit"]),
        (f'emit_signal(close > open, entry(TICKER, "LONG", Weight(1)))\n{EXIT}', []),
        (f'x = sma(close, 5)\nemit_signal(close > open, entry(TICKER, "LONG", Weight(1)))\n{EXIT}', ["unused-name"]),
        ("x, y, z = macd(close)\nemit_signal(y > 0, rebalance(TICKER, Weight(1)))", []),
        (EXIT, ["never-enters"]),
        (f'emit_signal(close > open, entry(TICKER, "LONG", Weight(50)))\n{EXIT}', ["large-weight"]),
        (
            "for t in TICKERS:\n    unused = close[t]\n    emit_signal(close > open, rebalance(t, Weight(1)))",
            ["unused-name"],
        ),
    ],
)
def test_a_doubtful_script_is_noticed(source: str, rules: list[str]) -> None:
    assert _rules(source) == rules


def test_a_warm_up_longer_than_the_range_is_noticed() -> None:
    source = f'emit_signal(close > sma(close, 200), entry(TICKER, "LONG", Weight(1)))\n{EXIT}'

    assert _rules(source, bars=150) == ["long-warm-up"]
    assert _rules(source, bars=1_000) == []


def test_the_plan_says_what_will_happen() -> None:
    source = """
dip = rsi(close, 14) < 30
emit_signal(dip, entry(TICKER, "LONG", Weight(0.5), stop_loss=0.05, take_profit=0.1))
emit_signal(unrealized_pnl_pct > 5, exit("BINANCE:ETH/USDT", fraction=0.5))
"""

    report = check_script(source, ScriptContext((BTC, ETH)))

    assert report.compiled is not None
    text = report.compiled.plan_text
    assert "once for each of 2 tickers (BINANCE:BTC/USDT, BINANCE:ETH/USDT) on 1h bars" in text
    assert "1. When dip: open LONG the ticker with 50 % of equity, stop 5 %, target 10 %." in text
    assert "2. When unrealized_pnl_pct > 5: close BINANCE:ETH/USDT (50 % of it)." in text
    assert "bar by bar" in text


def test_the_same_computation_is_planned_once() -> None:
    source = f"""
emit_signal(rsi(close, 14) < 30 and rsi(close, 14)[-2] >= 30, entry(TICKER, "LONG", Weight(0.5)))
emit_signal(macd_hist(close) < 0 and macd_line(close) < rsi(close, 14), exit(TICKER))
{EXIT}
"""

    report = check_script(source, ScriptContext((BTC,)))

    assert report.compiled is not None
    calls = [node.payload for node in report.compiled.plan.graph.nodes if node.op == "call"]
    assert len(calls) == len(set(map(str, calls))) == 5


@pytest.mark.parametrize(
    ("condition", "earlier"),
    [
        ("close > highest(high, 20)", "close > lag(highest(high, 20), 1)"),
        ("crossover(close, highest(close, 20))", "crossover(close, lag(highest(close, 20), 1))"),
        ("close > donchian_upper(20)", "close > lag(donchian_upper(20), 1)"),
    ],
)
def test_an_impossible_breakout_gets_the_advice_to_look_at_the_bars_before(condition: str, earlier: str) -> None:
    report = check_script(f"emit_signal({condition}, exit(TICKER))", ScriptContext((BTC,)))

    (found,) = (d for d in report.diagnostics if d.code == "never-true")
    assert f"`{earlier}`" in found.suggestion
    assert check_script(f"emit_signal({earlier}, exit(TICKER))", ScriptContext((BTC,))).ok


@pytest.mark.parametrize(
    "condition",
    ["close > lag(highest(high, 20), 1)", "close >= highest(close, 20)", "close > highest(open, 20)",
     "high > highest(close, 20)", "crossover(close, lag(highest(high, 20), 1))", "rsi(close, 14) > 50",
     "returns > 0.02", "unrealized_pnl_pct > 5", "beta(close, close['BINANCE:ETH/USDT'], 30) > 1.5"],
)  # fmt: skip
def test_a_breakout_that_can_happen_is_left_alone(condition: str) -> None:
    assert not {"never-true", "always-true", "scale", "returns-of-returns"} & set(
        _rules(f"emit_signal({condition}, exit(TICKER))")
    )


def test_a_part_that_would_be_sold_on_each_bar_is_noticed() -> None:
    entry = 'emit_signal(crossover(close, open), entry(TICKER, "LONG", Weight(0.5)))\n'

    assert _rules(entry + "emit_signal(unrealized_pnl_pct > 5, exit(TICKER, fraction=0.5))") == ["exit-on-each-bar"]
    assert not _rules(entry + "emit_signal(crossunder(close, open), exit(TICKER, fraction=0.5))")


@pytest.mark.parametrize(
    ("option", "fraction"),
    [
        ("stop_loss=2 * atr(14)", "stop_loss=(2 * atr(14)) / close"),
        ("trailing_stop=3 * atr(14)", "trailing_stop=(3 * atr(14)) / close"),
        ("take_profit=sma(high - low, 14)", "take_profit=(sma(high - low, 14)) / close"),
        ("stop_loss=close - 2 * atr(14)", "stop_loss=abs(1 - (close - 2 * atr(14)) / close)"),
        ("stop_loss=lowest(low, 10)", "stop_loss=abs(1 - (lowest(low, 10)) / close)"),
        ("stop_loss=supertrend_line(10, 3)", "stop_loss=abs(1 - (supertrend_line(10, 3)) / close)"),
        ("take_profit=close * 1.05", "take_profit=abs((close * 1.05) / close - 1)"),
        ("take_profit=bbands_upper(close, 20, 2)", "take_profit=abs((bbands_upper(close, 20, 2)) / close - 1)"),
        ("stop_loss=1.5 * natr(14)", "stop_loss=(1.5 * natr(14)) / 100"),
        ("trailing_stop=natr(7) / 2", "trailing_stop=(natr(7) / 2) / 100"),
        ("take_profit=roc(close, 20)", "take_profit=(roc(close, 20)) / 100"),
    ],
)
@pytest.mark.parametrize("size", ["Weight(0.5)", "Risk(0.01)"])
def test_a_stop_or_target_in_prices_is_refused_with_the_fraction_to_write(
    option: str, fraction: str, size: str
) -> None:
    stop = "" if size == "Weight(0.5)" or option.startswith("stop_loss") else ", stop_loss=0.05"
    report = check_script(
        f'emit_signal(close > open, entry(TICKER, "LONG", {size}, {option}{stop}))', ScriptContext((BTC,))
    )

    (found,) = (d for d in report.diagnostics if d.severity == "error")
    assert fraction in found.suggestion
    assert report.fixed is not None
    assert fraction in report.fixed
    assert check_script(report.fixed, ScriptContext((BTC,))).ok


@pytest.mark.parametrize("option", ["stop_loss=2 * natr(14) / 100", "take_profit=0.01 * roc(close, 20)"])
def test_a_percentage_divided_by_a_hundred_is_a_fraction(option: str) -> None:
    assert not _rules(f'emit_signal(close > open, entry(TICKER, "LONG", Weight(0.5), {option}))')


@pytest.mark.parametrize(("target", "rules"), [("10", ["scale"]), ("1.5", ["scale"]), ("0.1", []), ("1", [])])
def test_a_target_of_more_than_the_whole_price_is_noticed(target: str, rules: list[str]) -> None:
    assert _rules(f'emit_signal(close > open, entry(TICKER, "LONG", Weight(0.5), take_profit={target}))') == rules


def test_an_entry_that_would_be_added_to_on_each_bar_is_noticed() -> None:
    entry = 'emit_signal({}, entry(TICKER, "LONG", Weight(0.1), pyramiding=3, stop_loss=0.1))'

    assert _rules(entry.format("rsi(close, 14) < 30")) == ["entry-on-each-bar"]
    assert not _rules(entry.format("becomes(rsi(close, 14) < 30)"))
    assert not _rules(entry.format('every("1d") and close > open'))


def _of_perpetual(script: str, leverage: float | None) -> list[tuple[str, str]]:
    context = ScriptContext((resolve("BINANCEFUTURESUSD:BTC/USDT:USDT"),), leverage=leverage)
    return [(d.code, d.message) for d in check_script(f"{script}\n{EXIT}", context).diagnostics]


@pytest.mark.parametrize(
    ("intent", "leverage", "code", "said"),
    [
        ('entry(TICKER, "LONG", Weight(3))', 1.0, "large-weight", "Weight(3) is 300 % of equity"),
        ('entry(TICKER, "LONG", Weight(3))', 2.0, "large-weight", "the money pays for 200 %"),
        ('entry(TICKER, "LONG", Weight(3))', None, "large-weight", "needs a leverage of 3 or more"),
        ("rebalance(TICKER, Weight(-3))", 2.0, "large-weight", "300 % of equity"),
        ('entry(TICKER, "LONG", Risk(0.1), stop_loss=0.02)', 2.0, "large-risk", "500 % of equity"),
        ('entry(TICKER, "LONG", Weight(1))', 3.0, "unused-leverage", "does not make positions larger"),
        ('entry(TICKER, "LONG", VolTarget(0.2))', 3.0, "unused-leverage", "100 % of equity"),
        ('entry(TICKER, "LONG", Kelly(0.6, 1))', 3.0, "unused-leverage", "liquidation nearer"),
        ('entry(TICKER, "LONG", Weight(3), stop_loss=0.4)', 3.0, "stop-beyond-liquidation", "33.1 % from its entry"),
        ('entry(TICKER, "SHORT", Weight(3), stop_loss=0.4)', 3.0, "stop-beyond-liquidation", "32.8 % from its entry"),
    ],
)
def test_a_size_or_stop_that_the_leverage_makes_meaningless_is_noticed(
    intent: str, leverage: float | None, code: str, said: str
) -> None:
    (found,) = _of_perpetual(f"emit_signal(crossover(close, sma(close, 9)), {intent})", leverage)

    assert found[0] == code
    assert said in found[1]


@pytest.mark.parametrize(
    ("intent", "leverage"),
    [
        ('entry(TICKER, "LONG", Weight(3))', 3.0),
        ('entry(TICKER, "LONG", Weight(1))', 1.0),
        ('entry(TICKER, "LONG", VolTarget(0.2, most=3))', 3.0),
        ('entry(TICKER, "LONG", Risk(0.01), stop_loss=0.02)', 3.0),
        ('entry(TICKER, "LONG", Notional(500))', 3.0),
        ('entry(TICKER, "LONG", Weight(3), stop_loss=0.3)', 3.0),
        ('entry(TICKER, "LONG", Weight(1), stop_loss=0.6)', 1.0),
    ],
)
def test_a_size_that_the_leverage_allows_is_left_alone(intent: str, leverage: float) -> None:
    assert _of_perpetual(f"emit_signal(crossover(close, sma(close, 9)), {intent})", leverage) == []


def test_the_plan_says_the_same_size_at_any_leverage() -> None:
    script = f'emit_signal(close > open, entry(TICKER, "LONG", Weight(2)))\n{EXIT}'
    perpetual = (resolve("BINANCEFUTURESUSD:BTC/USDT:USDT"),)
    plans = [check_script(script, ScriptContext(perpetual, leverage=x)).compiled for x in (1.0, 4.0)]

    assert all(plan is not None and "with 200 % of equity" in plan.plan_text for plan in plans)
    assert plans[1] is not None
    assert "Leverage 4: a position ties up 25 % of what it is worth" in plans[1].plan_text


def test_leverage_that_several_tickers_use_together_is_left_alone() -> None:
    pair = tuple(resolve(f"BINANCEFUTURESUSD:{base}/USDT:USDT") for base in ("BTC", "ETH"))
    script = f'emit_signal(close > open, entry(TICKER, "LONG", Weight(0.8)))\n{EXIT}'

    assert check_script(script, ScriptContext(pair, leverage=2.0)).diagnostics == ()
    assert [d.code for d in check_script(script, ScriptContext(pair[:1], leverage=2.0)).diagnostics] == [
        "unused-leverage"
    ]
