"""The words of other tools and what each means here: columns, functions, methods, orders, timeframes.

Also the few functions that read and build syntax trees, for `foreign_expressions` and `foreign`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Final, cast

from .operators import OPERATORS
from .words import VARIABLES, meant

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
    }
)
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
    "self.Portfolio.TotalPortfolioValue": "equity",
}  # fmt: skip
HOLDING: Final = {
    "Invested": "position != 0", "IsLong": "position > 0", "IsShort": "position < 0", "Quantity": "position",
    "AveragePrice": "entry_price", "Price": "close", "Open": "open", "High": "high", "Low": "low", "Close": "close",
    "Volume": "volume",
}  # fmt: skip
"""Of a security or a holding in QuantConnect."""
PREVIOUS: Final = re.compile(r"(?:(?:prev|previous|last|yesterday)_?(?P<a>open|high|low|close|volume)|(?P<b>open|high|low|close|volume)_?(?:prev|previous|1))")  # noqa: E501  # fmt: skip
NUMBERED: Final = re.compile(r"(?P<name>[a-z]+)_?(?P<period>\d{1,4})")
NO_METHODS: Final = "nothing has attributes or methods here"
NO_IN: Final = "`in` and `is` are not part of the language"
DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
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
    folded = text.strip().lower().replace(" ", "")
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


def order_meant(node: ast.Call, dotted: str) -> ast.expr | None:
    """An entry or exit for the buy and sell calls of other tools."""
    last = dotted.rsplit(".", 1)[-1].lower()
    whole = dotted.lower()
    if whole in {"strategy.entry", "strategy.order"}:
        text = ast.unparse(node).lower()
        side = "SHORT" if "strategy.short" in text or '"short"' in text.replace("'", '"') else "LONG"
        return parsed(f'entry(TICKER, "{side}", Weight(0.5))')
    if whole in {"strategy.close", "strategy.exit", "strategy.close_all", "self.position.close", "position.close"}:
        return parsed("exit(TICKER)")
    if dotted and (last in LONG_WORDS or last in SHORT_WORDS or last in EXIT_WORDS) and last not in OPERATORS:
        side = "SHORT" if last in SHORT_WORDS else "LONG"
        return parsed("exit(TICKER)" if last in EXIT_WORDS else f'entry(TICKER, "{side}", Weight(0.5))')
    return None


def method_meant(series: ast.expr, name: str, arguments: Sequence[ast.expr]) -> ast.expr | None:
    """The operator for a method of a series."""
    one: list[ast.expr] = list(arguments[:1]) or [number(1)]
    compared = {"gt": ast.Gt(), "lt": ast.Lt(), "ge": ast.GtE(), "le": ast.LtE(), "eq": ast.Eq()}
    if name in compared and arguments:
        return ast.Compare(series, [compared[name]], list(arguments[:1]))
    match name:
        case "shift":
            return called("lag", series, *one)
        case "diff":
            return called("change", series, *one)
        case "pct_change":
            return called("pct_change", series, *one)
        case "cumsum" | "isna" | "isnull":
            return called("cum" if name == "cumsum" else "is_missing", series)
        case "rank":
            return share_below(series, number(100))
        case "fillna":
            return called("nz", series, *(list(arguments[:1]) or [number(0)]))
        case "abs" | "round" | "clip" | "between":
            return called(name, series, *arguments)
        case "dropna" | "copy" | "to_numpy" | "astype" | "ffill":
            return series
        case _:
            pass
    clear = name if name in OPERATORS else meant(name)[0]
    known = dotted_name(series) in VARIABLES or isinstance(series, ast.Call)
    return called(clear, series, *arguments) if clear is not None and clear in OPERATORS and known else None


def input_meant(node: ast.Call, name: str) -> ast.expr | None:
    """A parameter `name` for a number that can be set from outside, such as `input.int(14)`."""
    values = [a.value for a in node.args if isinstance(a, ast.Constant)]
    values += [k.value.value for k in node.keywords if k.arg == "defval" and isinstance(k.value, ast.Constant)]
    value = next((float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)), None)
    if value is None:
        return None
    edges = {k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)}
    low, high = edges.get("minval", min(1.0, value)), edges.get("maxval", max(10 * value, 1.0))
    lowest, highest = float(cast("float", low)), float(cast("float", high))
    return called("param", ast.Constant(name), *(number(v) for v in (value, lowest, highest)))


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
