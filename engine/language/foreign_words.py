"""The words of other tools and what each means here: columns, functions, methods, orders, timeframes.

Also the few functions that read and build syntax trees, for `foreign_expressions` and `foreign`.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import Final

FRAMES: Final = frozenset(
    {"df", "data", "dataframe", "bars", "candles", "candle", "ohlcv", "ohlc", "prices", "bar", "datas", "row", "self"}
)
MODULES: Final = frozenset(
    {
        "ta",
        "talib",
        "pta",
        "pandas_ta",
        "np",
        "numpy",
        "math",
        "Math",
        "pd",
        "tulipy",
        "bt",
        "indicators",
        "momentum",
        "qtpylib",
        "vbt",
        "vectorbt",
        "trade",
    }
)


@dataclass(slots=True)
class Notes:
    """What one script in another tool's syntax has said so far.

    Attributes:
        reasons: Why the current statement was translated.
        columns: Columns and attributes that the script itself gave a value, with the name that they have here.
        crossings: Names of crossings: other tools have them as 1, -1 and 0.
        names: Every name that the script gives a value.
        newest: Names that the script changes with `+=` and the like, with the name of the changed value.
        counts_back: Bars are counted as in backtrader: 0 is the current one, -1 the one before.
    """

    reasons: list[str] = field(default_factory=list[str])
    columns: dict[str, str] = field(default_factory=dict[str, str])
    crossings: dict[str, ast.Call] = field(default_factory=dict[str, ast.Call])
    newest: dict[str, str] = field(default_factory=dict[str, str])
    counts_back: bool = False
    names: frozenset[str] = frozenset()


FIELDS: Final = {"adj close": "close", "adj_close": "close", "vol": "volume", "last": "close", "price": "close"}
ROLLED: Final = {
    "mean": "sma", "std": "stddev", "max": "highest", "min": "lowest", "sum": "sum", "median": "median", "var": "var",
    "skew": "skew", "kurt": "kurtosis",
}  # fmt: skip
LISTED: Final = {"max": "highest", "min": "lowest", "sum": "sum", "mean": "sma", "std": "stddev", "median": "median"}
FUNCTIONS: Final = {
    "maximum": "max", "minimum": "min", "isnan": "is_missing", "absolute": "abs", "fabs": "abs", "power": "pow",
    "mean": "sma", "std": "stddev", "nanmean": "sma", "tr": "trange", "stdev": "stddev", "barssince": "bars_since",
}  # fmt: skip
LEFT_OUT: Final = frozenset(
    {
        "print", "plot", "plotshape", "plotchar", "plotarrow", "bgcolor", "barcolor", "alert", "alertcondition", "hline",  # noqa: E501
        "fill", "indicator", "study", "strategy", "console", "log", "label", "line", "table", "assert", "library",
    }
)  # fmt: skip
LONG_WORDS: Final = frozenset(
    {"buy", "long", "go_long", "enter_long", "open_long", "market_buy", "buy_market", "order_buy"}
)
SHORT_WORDS: Final = frozenset({"short", "go_short", "enter_short", "open_short", "sell_short", "short_sell"})
EXIT_WORDS: Final = frozenset(
    {"sell", "close_position", "exit_long", "exit_short", "close_long", "close_short", "flat", "flatten", "close_all",
     "exit_position", "liquidate", "close_trade"}
)  # fmt: skip
STATE: Final = {
    "strategy.position_size": "position", "strategy.equity": "equity", "strategy.position_avg_price": "entry_price",
    "strategy.opentrades": "open_positions", "syminfo.tickerid": "TICKER", "syminfo.ticker": "TICKER",
    "timeframe.period": "TIMEFRAME", "self.position": "position", "position.size": "position", "self.equity": "equity",
    "self.position.size": "position", "position.entry_price": "entry_price", "account.equity": "equity",
    "account.balance": "cash", "strategy.initial_capital": "equity", "ta.tr": "trange()", "ta.obv": "obv()",
    "ta.vwap": "session_vwap()", "self.Portfolio.Invested": "position != 0", "self.Portfolio.Cash": "cash",
    "self.Portfolio.TotalPortfolioValue": "equity", "self.broker.getvalue": "equity", "self.broker.getcash": "cash",
    "df.index.hour": "hour", "df.index.minute": "minute", "df.index.dayofweek": "weekday", "df.index.weekday": "weekday",  # noqa: E501
    "df.index.day": "day", "df.index.month": "month", "close.index.hour": "hour", "close.index.dayofweek": "weekday",
    "timeframe.isdaily": 'TIMEFRAME == "1d"', "timeframe.isweekly": 'TIMEFRAME == "1w"',
}  # fmt: skip
HOLDING: Final = {
    "Invested": "position != 0", "IsLong": "position > 0", "IsShort": "position < 0", "Quantity": "position",
    "AveragePrice": "entry_price", "Price": "close", "Open": "open", "High": "high", "Low": "low", "Close": "close",
    "Volume": "volume",
}  # fmt: skip
"""Of a security or a holding in QuantConnect."""
PREVIOUS: Final = re.compile(r"(?:(?:prev|previous|last|yesterday)_?(?P<a>open|high|low|close|volume)|(?P<b>open|high|low|close|volume)_?(?:prev|previous|1))")  # noqa: E501  # fmt: skip


NO_METHODS: Final = "nothing has attributes or methods here"
NO_IN: Final = "`in` and `is` are not part of the language"
DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_LENGTHS: Final = re.compile(r"(?:PERIOD_|AggregationPeriod\.|PERIOD)?(?P<unit>M|H|D|W|MN)(?P<count>\d+)")
_MINUTES: Final = {"1": "1m", "5": "5m", "15": "15m", "30": "30m", "60": "1h", "120": "2h", "240": "4h", "360": "6h",
                   "480": "8h", "720": "12h", "d": "1d", "w": "1w", "1h": "1h", "daily": "1d", "weekly": "1w",
                   "hourly": "1h", "1day": "1d", "day": "1d", "hour": "1h", "1440": "1d"}  # fmt: skip
ENTER: Final = 'entry(TICKER, "LONG", Weight(0.5))'
LOOKED_BACK: Final = frozenset({"highest", "lowest", "sma", "sum", "stddev", "median"})


def parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def called(name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), list(arguments), [])


def number(value: float) -> ast.Constant:
    return ast.Constant(int(value) if float(value).is_integer() else value)


def share_below(series: ast.expr, bars: ast.expr) -> ast.expr:
    """The rank of pandas with `pct=True`: a fraction, where `rank_pct` counts percent."""
    return ast.BinOp(called("rank_pct", series, bars), ast.Div(), number(100))


def written(node: ast.AST) -> str:
    """The source of a node, with texts in double quotes."""
    text = ast.unparse(node)
    return text if '"' in text else text.replace("'", '"')


def dotted_name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=inner, attr=name):
            outer = dotted_name(inner)
            return f"{outer}.{name}" if outer else ""
        case _:
            return ""


def timeframe_meant(text: str) -> str | None:
    """The timeframe of this language for `240`, `D`, `1H` or `4 hours`."""
    word = _LENGTHS.fullmatch(text.strip())
    if word:
        text = f"{word['count']}{word['unit']}"
    folded = text.strip().rsplit(".", 1)[-1].removeprefix("PERIOD_").lower().replace(" ", "")
    short = re.fullmatch(r"(\d*)(m|h|d|w)(?:in|ins|inute|inutes|our|ours|r|rs|ay|ays|eek|eeks)?", folded)
    if folded in _MINUTES:
        return _MINUTES[folded]
    return f"{short[1] or 1}{short[2]}" if short else None


SIDES: Final = {"LONG": "LONG", "BUY": "LONG", "SHORT": "SHORT", "SELL": "SHORT"}
OPTIONS: Final = {
    "sl": "stop_loss", "stop": "stop_loss", "stoploss": "stop_loss", "stop_loss_pct": "stop_loss", "tp": "take_profit",
    "target": "take_profit", "takeprofit": "take_profit", "take_profit_pct": "take_profit", "trail": "trailing_stop",
    "trailing": "trailing_stop", "trail_stop": "trailing_stop", "qty": "size", "quantity": "size", "weight": "size",
    "symbol": "ticker", "direction": "side", "price": "limit", "limit_price": "limit", "label": "tag", "comment": "tag",
}  # fmt: skip


def usable_period(given: ast.expr) -> ast.expr:
    """A period as a whole number above 0."""
    match given:
        case ast.Constant(value=str() as text) if text.isdigit():
            return number(int(text))
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as value)) if value > 0:
            return number(value)
        case _:
            return given


def whole_number(edge: ast.expr | None) -> int:
    match edge:
        case ast.Constant(value=int() as number):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as number)):
            return -number
        case _:
            return 0
