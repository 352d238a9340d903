# ruff: noqa: E501 - scripts are kept as their authors write them
"""Scripts by people who half know other tools, and the script that each of them means.

The refusal's correction, applied once, has to compile to the very computation of the script that was meant, which is
written here by hand. A correction that compiles to something else is worse than none.
"""

from __future__ import annotations

from typing import Final

import pytest

from engine.language import check_script
from tests.engine.language.script_meaning import CONTEXT, corrected, meaning

SCRIPTS: Final = [
    (
        'if ta.rsi(close, 14) < 30\n    strategy.entry("L", strategy.long)\nif ta.rsi(close, 14) > 70\n    strategy.close("L")',
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        "if rsi(14) < 30 then buy\nif rsi(14) > 70 then sell",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
    ("buy when rsi below 30", 'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))'),
    (
        "if close > sma(close, 20):\n    entry('LONG')\nelse:\n    exit()",
        'emit_signal(close > sma(close, 20), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(not (close > sma(close, 20)), exit(TICKER))',
    ),
    (
        "class SmaCross(bt.Strategy):\n    params = dict(pfast=10, pslow=30)\n    def __init__(self):\n        sma1 = "
        "bt.ind.SMA(period=self.p.pfast)\n        sma2 = bt.ind.SMA(period=self.p.pslow)\n        self.crossover = "
        "bt.ind.CrossOver(sma1, sma2)\n    def next(self):\n        if not self.position:\n            if "
        "self.crossover > 0:\n                self.buy()\n        elif self.crossover < 0:\n            self.close()",
        'emit_signal(position == 0 and crossover(sma(close, 10), sma(close, 30)), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(not (position == 0) and crossunder(sma(close, 10), sma(close, 30)), exit(TICKER))',
    ),
    (
        "def populate_entry_trend(self, dataframe, metadata):\n    dataframe.loc[\n        (dataframe['rsi'] < 30) &\n "
        "       (dataframe['volume'] > 0),\n        'enter_long'] = 1\n    return dataframe\ndef "
        "populate_exit_trend(self, dataframe, metadata):\n    dataframe.loc[(dataframe['rsi'] > 70), 'exit_long'] = "
        "1\n    return dataframe",
        'emit_signal(rsi(close, 14) < 30 and volume > 0, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        "dataframe.loc[(dataframe['rsi'] < 30), 'enter_long'] = 1",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    ("df.loc[df['close'] > df['open'], 'signal'] = 1", 'emit_signal(close > open, entry(TICKER, "LONG", Weight(0.5)))'),
    (
        "entries = close > sma(close, 20)\nexits = close < sma(close, 20)\npf = vbt.Portfolio.from_signals(close, "
        "entries, exits)",
        'emit_signal(close > sma(close, 20), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(close < sma(close, 20), exit(TICKER))',
    ),
    (
        "void OnTick() "
        "{\n   double rsi = iRSI(NULL, 0, 14, PRICE_CLOSE, 0);\n   if (rsi < 30) OrderSend(Symbol(), OP_BUY, 0.1, Ask, 3, 0, 0);\n   if (rsi > 70) OrderClose(ticket, 0.1, Bid, 3);\n}",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        "AddOrder(OrderType.BUY_TO_OPEN, RSI() crosses above 30);\nAddOrder(OrderType.SELL_TO_CLOSE, RSI() crosses "
        "below 70);",
        'emit_signal(crossover(rsi(close, 14), 30), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(crossunder(rsi(close, 14), 70), exit(TICKER))',
    ),
    (
        "def fast = SimpleMovingAvg(close, 10);\ndef slow = SimpleMovingAvg(close, 30);\nAddOrder(OrderType.BUY_AUTO, "
        "fast crosses above slow);",
        'emit_signal(crossover(sma(close, 10), sma(close, 30)), entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "inputs: Length(14);\nif RSI(Close, Length) crosses over 30 then Buy next bar at market;\nif RSI(Close, "
        "Length) crosses under 70 then Sell next bar at market;",
        'emit_signal(crossover(rsi(close, 14), 30), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(crossunder(rsi(close, 14), 70), exit(TICKER))',
    ),
    (
        "Buy = Cross(MA(C, 10), MA(C, 30));\nSell = Cross(MA(C, 30), MA(C, 10));",
        'emit_signal(crossover(sma(close, 10), sma(close, 30)), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(crossover(sma(close, 30), sma(close, 10)), exit(TICKER))',
    ),
    (
        '[macdLine, signalLine, hist] = ta.macd(close, 12, 26, 9)\nif ta.crossover(macdLine, signalLine)\n    strategy.entry("L", strategy.long)',
        'emit_signal(crossover(macd_line(close, 12, 26, 9), macd_signal(close, 12, 26, 9)), entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        'macd, signal, hist = talib.MACD(close, 12, 26, 9)\nemit_signal(macd > signal, entry(TICKER, "LONG", Weight(0.5)))',
        'emit_signal(macd_line(close, 12, 26, 9) > macd_signal(close, 12, 26, 9), entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "if crossover(ema(12), ema(26)): buy(size=0.5)",
        'emit_signal(crossover(ema(close, 12), ema(close, 26)), entry(TICKER, "LONG", Weight(0.5)))',
    ),
    ("emit_signal('BUY', rsi(close, 14) < 30)", 'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))'),
    (
        "emit_signal(rsi(close, 14) < 30, 'LONG', 0.5)",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "entry(rsi(close, 14) < 30, 'LONG', Weight(0.5))",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    ("return rsi(close, 14) < 30", 'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))'),
    (
        "def strategy(df):\n    if df['rsi'].iloc[-1] < 30:\n        return 'buy'\n    elif df['rsi'].iloc[-1] > 70:\n "
        "       return 'sell'\n    return 'hold'",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(not (rsi(close, 14) < 30) and rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        "entry_condition: rsi(close, 14) < 30\nexit_condition: rsi(close, 14) > 70",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        '{"entry": "rsi(close, 14) < 30", "exit": "rsi(close, 14) > 70"}',
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        "on bar:\n  if close > sma(20): go long",
        'emit_signal(close > sma(close, 20), entry(TICKER, "LONG", Weight(0.5)))',
    ),
    ("WHEN rsi(14) < 30 THEN BUY", 'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))'),
    (
        "emit_signal(close > open, entry(TICKER, 'LONG', Weight(50%)))",
        'emit_signal(close > open, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "emit_signal(close > open, entry(TICKER, side='long', size=0.5))",
        'emit_signal(close > open, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    ("emit_signal(close > open, buy(0.5))", 'emit_signal(close > open, entry(TICKER, "LONG", Weight(0.5)))'),
    (
        "emit_signal(close > open, entry(TICKER, LONG, Weight(0.5)))",
        'emit_signal(close > open, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "emit_signal(condition=close > open, action=entry(TICKER, 'LONG', Weight(0.5)))",
        'emit_signal(close > open, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "emit_signal(close > open and close > lag(close, 1) entry(TICKER, 'LONG', Weight(0.5)))",
        'emit_signal(close > open and close > lag(close, 1), entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "emit_signal(close > open, entry(TICKER, 'LONG', Weight(0.5))",
        'emit_signal(close > open, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "signal = -1 if close < open else 1",
        'emit_signal(close < open, exit(TICKER))\nemit_signal(not (close < open), entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        '//@version=4\nstudy("x")\nfast = sma(close, 9)\nslow = sma(close, 21)\nif crossover(fast, slow)\n    strategy.entry("L", true)\nif crossunder(fast, slow)\n    strategy.close("L")',
        'emit_signal(crossover(sma(close, 9), sma(close, 21)), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(crossunder(sma(close, 9), sma(close, 21)), exit(TICKER))',
    ),
    (
        "def on_bar(self):\n    if rsi(self.close, 14) < 30:\n        self.buy(size=0.2)\n    elif rsi(self.close, 14) "
        "> 70:\n        self.sell()",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.2)))\nemit_signal(not (rsi(close, 14) < 30) and rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        "class Rsi(bt.Strategy):\n    def __init__(self):\n        self.rsi = bt.indicators.RSI(self.data.close, "
        "period=7)\n    def next(self):\n        if self.rsi[0] < 30:\n            self.buy()\n        if self.rsi[0] "
        "> 70:\n            self.close()",
        'emit_signal(rsi(close, 7) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 7) > 70, exit(TICKER))',
    ),
    (
        "def populate_indicators(self, dataframe, metadata):\n    dataframe['rsi'] = ta.RSI(dataframe, timeperiod=9)\n "
        "   return dataframe\ndef populate_buy_trend(self, dataframe, metadata):\n    dataframe.loc[(dataframe['rsi'] "
        "< 25), 'buy'] = 1\n    return dataframe\ndef populate_sell_trend(self, dataframe, metadata):\n    "
        "dataframe.loc[(dataframe['rsi'] > 75), 'sell'] = 1\n    return dataframe",
        'emit_signal(rsi(close, 9) < 25, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 9) > 75, exit(TICKER))',
    ),
    (
        "df['ema_fast'] = ta.ema(df['close'], length=12)\ndf['ema_slow'] = ta.ema(df['close'], length=26)\ndf['buy'] = "
        "(df['ema_fast'] > df['ema_slow']) & (df['ema_fast'].shift(1) <= df['ema_slow'].shift(1))\ndf['sell'] = "
        "df['ema_fast'] < df['ema_slow']",
        'emit_signal(ema(close, 12) > ema(close, 26) and lag(ema(close, 12), 1) <= lag(ema(close, 26), 1), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(ema(close, 12) < ema(close, 26), exit(TICKER))',
    ),
    (
        "rsi = vbt.RSI.run(close, window=14)\nentries = rsi.rsi_crossed_below(30)\nexits = rsi.rsi_crossed_above(70)",
        'emit_signal(crossunder(rsi(close, 14), 30), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(crossover(rsi(close, 14), 70), exit(TICKER))',
    ),
    (
        "when close > sma(close, 50) then go long\nwhen close < sma(close, 50) then exit",
        'emit_signal(close > sma(close, 50), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(close < sma(close, 50), exit(TICKER))',
    ),
    (
        "1. Buy when RSI(14) < 30\n2. Sell when RSI(14) > 70",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        "Entry: close crosses above sma(close, 50)\nExit: close crosses below sma(close, 50)",
        'emit_signal(crossover(close, sma(close, 50)), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(crossunder(close, sma(close, 50)), exit(TICKER))',
    ),
    (
        "LONG: rsi(14) < 30\nEXIT: rsi(14) > 70",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        "entry_signal = crossover(ema(close, 9), ema(close, 21))\nexit_signal = crossunder(ema(close, 9), ema(close, "
        "21))\nif entry_signal:\n    open_long()\nif exit_signal:\n    close_position()",
        'emit_signal(crossover(ema(close, 9), ema(close, 21)), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(crossunder(ema(close, 9), ema(close, 21)), exit(TICKER))',
    ),
    (
        'emit_signal(\n    rsi(14) < 30,\n    entry(TICKER, "LONG", Weight(0.5))\n)',
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", weight=0.5))',
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        'emit_signal("LONG", rsi(close, 14) < 30, Weight(0.5))',
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "emit_signal(rsi(close, 14) < 30, enter_long(0.5))",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        'if rsi(close, 14) < 30: emit_signal("BUY")',
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "if rsi(close, 14) < 30 {\n    buy()\n} else if rsi(close, 14) > 70 {\n    sell()\n}",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(not (rsi(close, 14) < 30) and rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        'const rsi = ta.rsi(close, 14);\nif (rsi < 30) {\n  strategy.entry("L", strategy.long);\n}',
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "let signal = rsi(close, 14) < 30 ? 1 : 0",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        'fast = ta.ema(close, 9)\nslow = ta.ema(close, 21)\nlong = ta.crossover(fast, slow)\nshort = ta.crossunder(fast, slow)\nstrategy.entry("Long", strategy.long, when=long)\nstrategy.close("Long", when=short)',
        'emit_signal(crossover(ema(close, 9), ema(close, 21)), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(crossunder(ema(close, 9), ema(close, 21)), exit(TICKER))',
    ),
    (
        "if crossover(sma(close, 10), sma(close, 30)):\n    enter_long()\nif crossunder(sma(close, 10), sma(close, "
        "30)):\n    exit_long()",
        'emit_signal(crossover(sma(close, 10), sma(close, 30)), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(crossunder(sma(close, 10), sma(close, 30)), exit(TICKER))',
    ),
    (
        "def next(self):\n    if self.rsi[0] < 30 and not self.position:\n        self.buy()\n    if self.rsi[0] > "
        "70:\n        self.close()",
        'emit_signal(rsi(close, 14) < 30 and position == 0, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        "go long when close crosses above sma(close, 50)",
        'emit_signal(crossover(close, sma(close, 50)), entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "Buy if RSI < 30. Sell if RSI > 70.",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        "BUY WHEN close > sma(50) AND volume > 0",
        'emit_signal(close > sma(close, 50) and volume > 0, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "Enter long when the 9 EMA crosses above the 21 EMA. Exit when the 9 EMA crosses below the 21 EMA.",
        'emit_signal(crossover(ema(close, 9), ema(close, 21)), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(crossunder(ema(close, 9), ema(close, 21)), exit(TICKER))',
    ),
    (
        "buy_signal = (rsi(close, 14) < 30) & (close > sma(close, 200))\nsell_signal = rsi(close, 14) > 70",
        'emit_signal(rsi(close, 14) < 30 and close > sma(close, 200), entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        "rsi = talib.RSI(close, timeperiod=7)\nif rsi[-1] < 30:\n    self.buy()",
        'emit_signal(rsi(close, 7) < 30, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "df['rsi'] = ta.rsi(df['close'], length=7)\ndf['signal'] = np.where(df['rsi'] < 30, 1, 0)",
        'emit_signal(rsi(close, 7) < 30, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "df['sma_fast'] = df['close'].rolling(10).mean()\ndf['sma_slow'] = "
        "df['close'].rolling(40).mean()\ndf.loc[(df['sma_fast'] > df['sma_slow']), 'position'] = 1",
        'emit_signal(sma(close, 10) > sma(close, 40), entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "plot fast = MovAvgExponential(close, 9);\nAddOrder(OrderType.BUY_TO_OPEN, close crosses above fast, open[-1], "
        "100);",
        'emit_signal(crossover(close, ema(close, 9)), entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "If Close crosses above Average(Close, 50) then Buy this bar on close;",
        'emit_signal(crossover(close, sma(close, 50)), entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        '[mid, up, lo] = ta.bb(close, 20, 2)\nif close < lo\n    strategy.entry("L", strategy.long)',
        'emit_signal(close < bbands_lower(close, 20, 2), entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        '[st, dir] = ta.supertrend(3, 10)\nif dir < 0\n    strategy.entry("L", strategy.long)',
        'emit_signal(-supertrend_direction(10, 3) < 0, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "upper, middle, lower = talib.BBANDS(close, timeperiod=20, nbdevup=2, nbdevdn=2, matype=0)\nemit_signal(close "
        "< lower, entry(TICKER, 'LONG', Weight(0.5)))",
        'emit_signal(close < bbands_lower(close, 20, 2), entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "slowk, slowd = talib.STOCH(high, low, close, 14, 3, 0, 3, 0)\nif slowk < 20:\n    buy()",
        'emit_signal(stoch_k(14, 3, 3) < 20, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        "emit_signal(close > open, entry(TICKER, 'LONG', Weight(0.5)));\nemit_signal(close < open, exit(TICKER));",
        'emit_signal(close > open, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(close < open, exit(TICKER))',
    ),
    (
        'emit_signal(rsi(14) < 30, entry("LONG"))',
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))',
    ),
    (
        'emit_signal(rsi(14) < 30, "buy")\nemit_signal(rsi(14) > 70, "sell")',
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        'strategy.entry("L", strategy.long, when=ta.rsi(close, 14) < 30)\nstrategy.close_all(when=ta.rsi(close, 14) > 70)',
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
    (
        "- Entry: RSI(14) below 30\n- Exit: RSI(14) above 70",
        'emit_signal(rsi(close, 14) < 30, entry(TICKER, "LONG", Weight(0.5)))\nemit_signal(rsi(close, 14) > 70, exit(TICKER))',
    ),
]
"""A wrong script, and the one that is meant."""


@pytest.mark.parametrize(("wrong", "meant"), SCRIPTS, ids=range(len(SCRIPTS)))
def test_the_correction_of_a_script_is_what_the_author_meant(wrong: str, meant: str) -> None:
    ours = corrected(wrong)

    assert meaning(ours) == meaning(meant), ours


@pytest.mark.parametrize(
    "wrong",
    [
        "close.shift(-1) > close",
        "close.diff(-5) > 0",
        "close.rolling(20, center=True).mean() > close",
        "iRSI('EURUSD', 0, 14, PRICE_CLOSE, 0) < 30",
        "talib.BBANDS(close, 20, 2, 3)[2] > close",
        "ta.vwap(close) > close",
        "bbands(close, 20) > close",
        "rsi(close, 14)['foo'] < 30",
    ],
)
def test_what_has_no_equal_here_is_refused_without_a_correction(wrong: str) -> None:
    report = check_script(f'emit_signal({wrong}, entry(TICKER, "LONG", Weight(0.5)))', CONTEXT)

    assert not report.ok
    assert report.fixed is None


@pytest.mark.parametrize(
    "wrong",
    [
        "for i in range(1, 10):\n    if close[i] > open[i]:\n        buy()",
        "if close > open:\n    buy()\n    stop_loss = 0.05",
        "strategy.exit('x', 'L', stop=close * 0.95)",
        "if close > open:\n    buy(sl=95, tp=110)",
        "x = 1\nif close > open:\n    x = 2\n    buy()",
    ],
)
def test_a_script_whose_stop_or_counting_would_be_lost_is_notcorrected(wrong: str) -> None:
    report = check_script(wrong, CONTEXT)

    assert not report.ok
    assert report.fixed is None
