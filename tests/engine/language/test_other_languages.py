"""Scripts by people who know Pine Script, pandas, TA-Lib, other engines or plain English.

Each is refused, and the refusal says what to write instead: the suggestion compiles, or so does the whole script with
every error replaced.
"""

from __future__ import annotations

import re
import warnings
from typing import Final

import pytest

from engine.language import ScriptContext, check_expression, check_script
from engine.language.diagnostics import DslError
from tests.engine.language.dsl_markets import BTC, ETH
from tests.engine.language.script_meaning import meaning

CONTEXT: Final = ScriptContext((BTC, ETH))
ENTRY: Final = 'emit_signal(crossover(close, open), entry(TICKER, "LONG", Weight(0.5)))\n'
CONDITIONS: Final[list[tuple[str, str | None]]] = [
    # pandas
    ("df['close'] > df['close'].rolling(20).mean()", "close > sma(close, 20)"),
    ("close.rolling(20).mean() < close", "sma(close, 20) < close"),
    ("close.ewm(span=12).mean() > close.ewm(span=26).mean()", "ema(close, 12) > ema(close, 26)"),
    ("close.ewm(span=12, adjust=False).mean() > open", "ema(close, 12) > open"),
    ("df.close > df.close.shift(1)", "close > lag(close, 1)"),
    ("close.shift(1) < close", "lag(close, 1) < close"),
    ("close.diff() > 0", "change(close, 1) > 0"),
    ("close.pct_change(5) > 0.02", "pct_change(close, 5) > 0.02"),
    ("df['High'].rolling(20).max().shift(1) < df['Close']", "lag(highest(high, 20), 1) < close"),
    ("close.rolling(20).std() > 5", "stddev(close, 20) > 5"),
    ("(close - close.rolling(20).mean()) / close.rolling(20).std() < -2", "sma(close, 20)) / stddev(close, 20)"),
    ("close.iloc[-1] > open.iloc[-1]", "close[-1] > open[-1]"),
    ("df['volume'] > df['volume'].rolling(20).mean() * 1.5", "sma(volume, 20) * 1.5"),
    ("close[-20:].mean() < close", "sma(close, 20) < close"),
    ("close > max(high[-20:])", "highest(high, 20)"),
    ("close > np.max(high[-20:])", "highest(high, 20)"),
    ("np.where(close > open, 1, 0) > 0", "where(close > open, 1, 0) > 0"),
    ("np.log(close / close.shift(1)) > 0.01", "log(close / lag(close, 1)) > 0.01"),
    ("close.rolling(window=50).min() == low", "lowest(close, 50) == low"),
    ("(close > open).rolling(5).sum() >= 3", None),
    ("close.rolling(20).corr(volume) > 0.5", "correlation(close, volume, 20) > 0.5"),
    ("data.Close > data.Open", "close > open"),
    ("data['Close'][-1] > data['Open'][-1]", "close[-1] > open[-1]"),
    ("close.values[-1] > 100", "close[-1] > 100"),
    ("df['rsi'] < 30", None),
    ("close.isna()", "is_missing(close)"),
    ("close.fillna(0) > 0", "nz(close, 0) > 0"),
    ("close.gt(open)", "close > open"),
    ("close.cumsum() > 5", "cum(close) > 5"),
    ("close.ewm(alpha=1/14).mean() > open", "rma(close, 14) > open"),
    # TA-Lib
    ("talib.RSI(close, timeperiod=14) < 30", "rsi(close, 14) < 30"),
    ("talib.SMA(df['close'], 20) > close", "sma(close, 20) > close"),
    ("talib.ATR(high, low, close, 14) > 5", "atr(14) > 5"),
    ("ta.rsi(close, 14) < 30", "rsi(close, 14) < 30"),
    ("RSI(14) < 30", "rsi(close, 14) < 30"),
    ("RSI(close, 14) < 30", "rsi(close, 14) < 30"),
    ("SMA(20) > SMA(50)", "sma(close, 20) > sma(close, 50)"),
    ("EMA(close, 12) > EMA(close, 26)", "ema(close, 12) > ema(close, 26)"),
    ("ta.momentum.RSIIndicator(close, 14).rsi() < 30", "rsi(close, 14) < 30"),
    ("talib.ADX(high, low, close, timeperiod=14) > 25", "adx(14) > 25"),
    ("rsi < 30", "rsi(close, 14)"),
    ("rsi(14) < 30", "rsi(close, 14)"),
    ("rsi14 < 30", "rsi(close, 14) < 30"),
    ("ema20 > ema50", "ema(close, 20) > ema(close, 50)"),
    ("sma_50 > sma_200", "sma(close, 50) > sma(close, 200)"),
    ("atr(close, 14) > 5", "atr(14) > 5"),
    ("adx(close, 14) > 25", "adx(14) > 25"),
    ("mfi(close, 14) < 20", "mfi(14) < 20"),
    ("rsi(close, '14') < 30", "14"),
    ("rsi(close, 14.5) < 30", "14"),
    ("sma(close, -5) > 0", "sma(close, 5)"),
    ("sma(close, length=20) > close", "period"),
    ("ema(close, span=20) > close", "period"),
    ("rsi(close, 14)[0] < 30", "-1"),
    ("close[1] > close[2]", "-2"),
    ("close(1) > 5", "close[-2]"),
    ("macd(close) > 0", "macd_line(close) > 0"),
    ("macd(close)[0] > macd(close)[1]", "macd_line(close) > macd_signal(close)"),
    ("macd(close).hist > 0", "macd_hist(close) > 0"),
    ("bbands(close, 20)['lower'] > close", "bbands_lower(close, 20) > close"),
    ("bollinger_lower(close, 20, 2) > close", "bbands_lower"),
    ("close < bb_lower", None),
    ("stoch(14) < 20", "stoch_k(14) < 20"),
    ("crossover(close)", "crossover(close, sma(close, 20))"),
    ("cross_above(close, sma(close, 20))", "crossover(close, sma(close, 20))"),
    ("close.crossover(sma(close, 20))", "crossover(close, sma(close, 20))"),
    ("prev_close < close", "close[-2] < close"),
    # Pine
    ("ta.crossover(ta.ema(close, 12), ta.ema(close, 26))", "crossover(ema(close, 12), ema(close, 26))"),
    ("ta.highest(high, 20)[1] < close", "highest(high, 20)[-2]"),
    ("ta.highest(20) < close", "highest(high, 20) < close"),
    ("request.security(syminfo.tickerid, '240', close) > close", 'tf("4h", close) > close'),
    ("request.security(syminfo.tickerid, 'D', ta.sma(close, 20)) < close", 'tf("1d", sma(close, 20)) < close'),
    ("security(tickerid, '60', close) > close", 'tf("1h", close) > close'),
    ("strategy.position_size > 0", "position > 0"),
    ("ta.change(close) > 0", "change(close) > 0"),
    ("math.abs(close - open) > 5", "abs(close - open) > 5"),
    ("math.max(close, open) > 5", "max(close, open) > 5"),
    ("na(close)", "is_missing(close)"),
    ("close > close[1] ? true : false", None),
    ("ta.rising(close, 3)", "rising(close, 3)"),
    ("barstate.islast", None),
    ("dayofweek == dayofweek.monday", None),
    ("weekday == 'Monday'", "weekday == 0"),
    ("close is not None", "not is_missing(close)"),
    ("hour in [9, 10]", "hour == 9 or hour == 10"),
    # backtrader counts from the current bar, backtesting.py from the end
    ("self.data.close[0] > self.data.close[-1]", "close[-1] > close[-2]"),
    ("self.datas[0].high[-2] < self.dataclose[0]", "high[-3] < close[-1]"),
    ("self.data.Close[-1] > self.data.Close[-2]", "close[-1] > close[-2]"),
    # freqtrade and QuantConnect
    ("qtpylib.crossed_above(ta.RSI(dataframe), 30)", "crossover(rsi(close), 30)"),
    ("qtpylib.crossed_below(dataframe['rsi'], 70)", "crossunder(rsi(close, 14), 70)"),
    ("self.rsi.Current.Value < 30", "rsi(close, 14) < 30"),
    ("self.Securities[self.symbol].Price > self._ema.Current.Value", "close > ema(close, 20)"),
    ("self.Portfolio[self.symbol].Invested", "position != 0"),
    ("self.Portfolio.TotalPortfolioValue > 10000", "equity > 10000"),
    # a fraction in one tool, percent in the other
    ("close.rank(pct=True) > 0.9", "rank_pct(close, 100) / 100 > 0.9"),
    ("close.rolling(50).rank(pct=True) > 0.9", "rank_pct(close, 50) / 100 > 0.9"),
    ("rsi(close, 14) < 30%", "rsi(close, 14) < 30"),
    ("close > open and mfi(14) >= 80%", "mfi(14) >= 80"),
    ("roc(close, 10) < -5%", "roc(close, 10) < -5"),
    ("pct_change(close, 5) > 2%", "pct_change(close, 5) > 0.02"),
    ("close / sma(close, 20) < 98%", "close / sma(close, 20) < 0.98"),
    ("unrealized_pnl_pct > 10%", "unrealized_pnl_pct > 10"),
    # English and JS
    ("rsi(close, 14) below 30", "rsi(close, 14) < 30"),
    ("close crosses above sma(close, 20)", "crossover(close, sma(close, 20))"),
    ("close is greater than open", "close > open"),
    ("close > open && volume > 5", "close > open and volume > 5"),
    ("!(close > open)", "not (close > open)"),
    ("close === open", "close == open"),
    ("tf(rsi(close, 14), '4h') > 50", 'tf("4h", rsi(close, 14)) > 50'),
    ("tf('240', close) > open", 'tf("4h", close) > open'),
    ("tf('4 hours', close) > open", 'tf("4h", close) > open'),
    ("range(3) > 2", "highest(high, 3) - lowest(low, 3)"),
    ("close > open and then close > 5", None),
    ("close > 5%", None),
]
"""A wrong condition, and the required text of the refusal (None where any form that compiles will do)."""

SCRIPTS: Final[list[tuple[str, str | None]]] = [
    ("var x = rsi(close, 14)\nemit_signal(x < 30, exit(TICKER))", "x = rsi(close, 14)"),
    ("const x = rsi(close, 14);\nemit_signal(x < 30, exit(TICKER));", "x = rsi(close, 14)"),
    ("let x = sma(close, 20)\nemit_signal(x < close, exit(TICKER))", "x = sma(close, 20)"),
    ("float x = ta.sma(close, 20)\nemit_signal(x < close, exit(TICKER))", "x = sma(close, 20)"),
    ("x := sma(close, 20)\nemit_signal(x < close, exit(TICKER))", "x = sma(close, 20)"),
    ("x: float = sma(close, 20)\nemit_signal(x < close, exit(TICKER))", "x = sma(close, 20)"),
    ("x = close > open ? close : open\nemit_signal(x > 5, exit(TICKER))", "x = close if close > open else open"),
    (
        "length = input.int(14, 'Length', minval=1, maxval=200)\nemit_signal(rsi(close, length) < 30, exit(TICKER))",
        'param("length", 14, 1, 200)',
    ),
    ("length = input(14)\nemit_signal(rsi(close, length) < 30, exit(TICKER))", 'param("length", 14'),
    ("```python\nemit_signal(close > open, exit(TICKER))\n```", "exit"),
    (
        "//@version=5\nstrategy('x', overlay=true)\nfast = ta.ema(close, 12)\nslow = ta.ema(close, 26)\nif ta.crossover(fast, slow)\n    strategy.entry('Long', strategy.long)\nif ta.crossunder(fast, slow)\n    strategy.close('Long')\nplot(fast)",  # noqa: E501
        'emit_signal(crossover(fast, slow), entry(TICKER, "LONG", Weight(0.5)))',
    ),
    ("// my strategy\nemit_signal(close > open, exit(TICKER))", "# my strategy"),
    ("if rsi(close, 14) < 30:\n    buy()", 'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))'),
    ("if rsi(close, 14) < 30:\n    emit_signal(True, exit(TICKER))", "emit_signal(rsi(close, 14) < 30"),
    ("if (close > open) {\n    buy();\n}", "emit_signal(close > open"),
    ("if close > open then buy", None),
    ("buy when rsi(close, 14) < 30", "emit_signal(rsi(close, 14) < 30"),
    ("buy when rsi is below 30", "emit_signal(rsi(close, 14) < 30"),
    ("if close crosses above sma(close, 20) then buy", "emit_signal(crossover(close, sma(close, 20))"),
    ("sell if close < sma(close, 20)", "emit_signal(close < sma(close, 20), exit(TICKER))"),
    ("strategy.entry('Long', strategy.long, when=close > open)", "emit_signal(close > open, entry"),
    ("strategy.close('Long', when=close < open)", "emit_signal(close < open, exit(TICKER))"),
    (ENTRY + "strategy.close('Long')", "exit(TICKER)"),
    ("buy()", "entry(TICKER"),
    ("import talib\nimport pandas as pd\nemit_signal(close > open, exit(TICKER))", "exit"),
    ("x = 0\nx += close\nemit_signal(x > 0, exit(TICKER))", "x_2 = x + close"),
    (
        "def signal(close):\n    return rsi(close, 14) < 30\nemit_signal(signal, exit(TICKER))",
        "signal = rsi(close, 14) < 30",
    ),
    ("f = lambda x: rsi(x, 14)\nemit_signal(close > open, exit(TICKER))", None),
    ("for i in range(3):\n    emit_signal(close > open, exit(TICKER))", "in TICKERS:"),
    ("while True:\n    emit_signal(close > open, exit(TICKER))", None),
    ("print(close)\nemit_signal(close > open, exit(TICKER))", "exit"),
    ("df['fast'] = df['close'].rolling(10).mean()\nemit_signal(close > open, exit(TICKER))", "fast = sma(close, 10)"),
    ("signal = close > open\nemit_signal(signal, 'BUY')", "entry(TICKER"),
    ("emit_signal(entry(TICKER, 'LONG', Weight(0.5)), close > open)", "emit_signal(close > open, entry"),
    ("emit_signal(close > open)", "entry(TICKER"),
    ("emit_signal(close > open, buy)", "entry(TICKER"),
    ("emit_signal(close > open, entry(TICKER, 'BUY', Weight(0.5)))", '"LONG"'),
    ("emit_signal(close > open, entry(TICKER, 'LONG', 0.5))", "Weight(0.5)"),
    ("emit_signal(close > open, entry(TICKER, 'LONG', Weight(0.5), stop_loss=5))", "0.05"),
    ("emit_signal(close > open, entry(TICKER, 'LONG', Weight(0.5), stop_loss=5%))", "0.05"),
    ("emit_signal(close > open, entry(TICKER, 'LONG', Weight(0.5), sl=0.05))", "stop_loss"),
    ("emit_signal(close > open, entry(TICKER, 'LONG', qty=Weight(0.5)))", "size"),
    ("emit_signal(close > open, entry('LONG', Weight(0.5)))", "entry(TICKER"),
    ("emit_signal(close > open, exit())", "exit(TICKER)"),
]
WRONG: Final = [(f'emit_signal({c}, entry(TICKER, "LONG", Weight(0.5)))', said) for c, said in CONDITIONS] + SCRIPTS
CROSS: Final = (
    "fast = ema(close, 12)\nslow = ema(close, 26)\n"
    'emit_signal(crossover(fast, slow), entry(TICKER, "LONG", Weight(0.5)))\n'
    "emit_signal(crossunder(fast, slow), exit(TICKER))"
)
BUY: Final = 'entry(TICKER, "LONG", Weight(0.5))'
UP: Final = f"emit_signal(close > open, {BUY})"
MEANT: Final[dict[str, str]] = {
    # conditions
    "(close - close.rolling(20).mean()) / close.rolling(20).std() < -2": (
        "(close - sma(close, 20)) / stddev(close, 20) < -2"
    ),
    "df['volume'] > df['volume'].rolling(20).mean() * 1.5": "volume > sma(volume, 20) * 1.5",
    "close > max(high[-20:])": "close > highest(high, 20)",
    "close > np.max(high[-20:])": "close > highest(high, 20)",
    "(close > open).rolling(5).sum() >= 3": "count_if(close > open, 5) >= 3",
    "df['rsi'] < 30": "rsi(close, 14) < 30",
    "rsi < 30": "rsi(close, 14) < 30",
    "rsi(14) < 30": "rsi(close, 14) < 30",
    "rsi(close, '14') < 30": "rsi(close, 14) < 30",
    "sma(close, -5) > 0": "sma(close, 5) > 0",
    "sma(close, length=20) > close": "sma(close, 20) > close",
    "ema(close, span=20) > close": "ema(close, 20) > close",
    "rsi(close, 14)[0] < 30": "rsi(close, 14)[-1] < 30",
    "close[1] > close[2]": "close[-2] > close[-3]",
    "bollinger_lower(close, 20, 2) > close": "bbands_lower(close, 20, 2) > close",
    "close < bb_lower": "close < bbands_lower(close, 20)",
    "ta.highest(high, 20)[1] < close": "highest(high, 20)[-2] < close",
    "dayofweek == dayofweek.monday": "weekday == 0",
    "close > open and mfi(14) >= 80%": "close > open and mfi(14) >= 80",
    "range(3) > 2": "highest(high, 3) - lowest(low, 3) > 2",
    "close > open and then close > 5": "close > open and close > 5",
    # scripts: a name with a value
    "var x = rsi(close, 14)": "emit_signal(rsi(close, 14) < 30, exit(TICKER))",
    "const x = rsi(close, 14);": "emit_signal(rsi(close, 14) < 30, exit(TICKER))",
    "let x = sma(close, 20)": "emit_signal(sma(close, 20) < close, exit(TICKER))",
    "float x = ta.sma(close, 20)": "emit_signal(sma(close, 20) < close, exit(TICKER))",
    "x := sma(close, 20)": "emit_signal(sma(close, 20) < close, exit(TICKER))",
    "x: float = sma(close, 20)": "emit_signal(sma(close, 20) < close, exit(TICKER))",
    "x = close > open ? close : open": "emit_signal((close if close > open else open) > 5, exit(TICKER))",
    "length = input.int(14": "emit_signal(rsi(close, 14) < 30, exit(TICKER))",
    "length = input(14)": "emit_signal(rsi(close, 14) < 30, exit(TICKER))",
    "x = 0": "emit_signal(0 + close > 0, exit(TICKER))",
    "def signal(close):": "emit_signal(rsi(close, 14) < 30, exit(TICKER))",
    "signal = close > open": UP,
    # scripts: lines that say nothing here
    "```python": "emit_signal(close > open, exit(TICKER))",
    "// my strategy": "emit_signal(close > open, exit(TICKER))",
    "import talib": "emit_signal(close > open, exit(TICKER))",
    "print(close)": "emit_signal(close > open, exit(TICKER))",
    "f = lambda x: rsi(x, 14)": "emit_signal(close > open, exit(TICKER))",
    "df['fast'] =": "emit_signal(close > open, exit(TICKER))",
    # scripts: orders
    "//@version=5": CROSS,
    "if rsi(close, 14) < 30:\n    buy()": f"emit_signal(rsi(close, 14) < 30, {BUY})",
    "if rsi(close, 14) < 30:\n    emit": "emit_signal(rsi(close, 14) < 30, exit(TICKER))",
    "if (close > open) {": UP,
    "if close > open then buy": UP,
    "buy when rsi": f"emit_signal(rsi(close, 14) < 30, {BUY})",
    "if close crosses above": f"emit_signal(crossover(close, sma(close, 20)), {BUY})",
    "sell if": "emit_signal(close < sma(close, 20), exit(TICKER))",
    "strategy.entry('Long', strategy.long, when=": UP,
    "strategy.close('Long', when=": "emit_signal(close < open, exit(TICKER))",
    f"{ENTRY}strategy.close": f"{ENTRY}emit_signal(True, exit(TICKER))",
    "buy()": f"emit_signal(True, {BUY})",
    "emit_signal(entry(TICKER, 'LONG', Weight(0.5)), close > open)": UP,
    "emit_signal(close > open)": UP,
    "emit_signal(close > open, buy)": UP,
    "emit_signal(close > open, entry(TICKER, 'BUY'": UP,
    "emit_signal(close > open, entry(TICKER, 'LONG', 0.5))": UP,
    "emit_signal(close > open, entry(TICKER, 'LONG', qty=": UP,
    "emit_signal(close > open, entry('LONG', Weight(0.5)))": UP,
    "emit_signal(close > open, entry(TICKER, 'LONG', Weight(0.5), s": UP.replace(
        "Weight(0.5)", "Weight(0.5), stop_loss=0.05"
    ),
    "emit_signal(close > open, exit())": "emit_signal(close > open, exit(TICKER))",
}
"""The condition or script that is meant, by how the wrong one begins, where the required text is a part of it."""

UNCLEAR: Final = frozenset({"close > 5%", "for i in range(3):\n    emit_signal(close > open, exit(TICKER))"})
"""A price above 5 % of nothing, and a loop whose counter does nothing: nobody can say what was meant."""

UNKNOWN: Final = 4
"""Mistakes whose refusal is right but contains no form that compiles."""


def _compiles(snippet: str) -> bool:
    """Whether a piece of a suggestion compiles in its place."""
    forms = (
        snippet,
        f"emit_signal({snippet}, exit(TICKER))",
        f"emit_signal({snippet} > 0, exit(TICKER))",
        f"x = {snippet}\n{ENTRY}",
        f"{snippet}\n{ENTRY}",
        f"{snippet}\n    {ENTRY}",
        f"emit_signal(close > open, {snippet})",
        f'emit_signal(close > open, entry(TICKER, "LONG", {snippet}))',
    )
    return any(check_script(form, CONTEXT).ok for form in forms)


def _leads_on(script: str, said: str | None) -> bool:
    report = check_script(script, CONTEXT)
    if report.ok:
        return False
    suggestions = " ".join(d.suggestion for d in report.diagnostics if d.severity == "error")
    told = said is None or said in f"{suggestions} {report.fixed or ''}"
    return told and (report.fixed is not None or any(_compiles(s) for s in re.findall(r"`([^`]+)`", suggestions)))


def test_nearly_every_natural_mistake_is_refused_with_the_right_form() -> None:
    failed = [script for script, said in WRONG if not _leads_on(script, said)]

    assert len(WRONG) >= 135
    assert len(failed) <= UNKNOWN, failed


def _meant(wrong: str, said: str | None) -> str:
    """The whole script that the author of a wrong one means."""
    found = max((start for start in MEANT if wrong.startswith(start)), key=len, default=None)
    meant = said if found is None else MEANT[found]
    assert meant is not None, wrong
    return meant


def test_each_correction_is_the_whole_script_that_was_meant() -> None:
    corrected = {wrong: check_script(wrong, CONTEXT).fixed for wrong, _ in SCRIPTS}
    conditions = {c: check_script(f"emit_signal({c}, {BUY})", CONTEXT).fixed for c, _ in CONDITIONS}
    wanted = {
        **{w: _meant(w, said) for w, said in SCRIPTS if w not in UNCLEAR and corrected[w]},
        **{c: f"emit_signal({_meant(c, said)}, {BUY})" for c, said in CONDITIONS if c not in UNCLEAR and conditions[c]},
    }

    assert [
        (wrong, fixed)
        for wrong, fixed in {**corrected, **conditions}.items()
        if fixed is not None and wrong not in UNCLEAR and meaning(fixed) != meaning(wanted[wrong])
    ] == []


def test_a_whole_pine_script_comes_back_in_our_words() -> None:
    pine = (
        "//@version=5\nstrategy('Cross', overlay=true)\nfast = ta.ema(close, 12)\nslow = ta.ema(close, 26)\n"
        "if ta.crossover(fast, slow)\n    strategy.entry('Long', strategy.long)\n"
        "if ta.crossunder(fast, slow)\n    strategy.close('Long')\nplot(fast)"
    )

    fixed = check_script(pine, CONTEXT).fixed

    assert fixed is not None
    lines = [line for line in fixed.split("\n") if line.strip() and not line.startswith("#")]
    assert lines == [
        "fast = ema(close, 12)",
        "slow = ema(close, 26)",
        'emit_signal(crossover(fast, slow), entry(TICKER, "LONG", Weight(0.5)))',
        "emit_signal(crossunder(fast, slow), exit(TICKER))",
    ]


def test_a_line_that_cannot_be_read_hides_no_other_error() -> None:
    report = check_script(
        "a = (close >\nb = rsii(close, 14)\nc = sma(close, 20) ? 1\nemit_signal(b < 30, exit(TICKER))", CONTEXT
    )

    assert {d.line for d in report.diagnostics} >= {1, 2, 3} or {d.line for d in report.diagnostics} >= {1, 3}


@pytest.mark.parametrize(
    "script",
    [
        "1if close > open",
        "entry: 0x1ffor above crosses when rsi(14)",
        "if '\\d' crosses above 5 moving if",
        'x = "a\\q" is 2 crosses in entry',
        "buy when close > 1or falls 2 in entry",
    ],
)
def test_nothing_that_is_read_makes_python_warn(script: str) -> None:
    """Python would write its warning to stderr, with the script in it."""
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        report = check_script(script, CONTEXT)

    assert given == []
    assert report.diagnostics


@pytest.mark.parametrize(
    ("expression", "ours"),
    [
        ("df['close'].rolling(20).mean()", "sma(close, 20)"),
        ("talib.RSI(close, 14)", "rsi(close, 14)"),
        ("rsi(close, 14) below 30", "rsi(close, 14) < 30"),
        ("ema20 > ema50", "ema(close, 20) > ema(close, 50)"),
    ],
)
def test_an_expression_in_other_words_is_told_in_ours(expression: str, ours: str) -> None:
    with pytest.raises(DslError) as caught:
        check_expression(expression)

    assert caught.value.fixed == ours
    assert check_expression(ours)
