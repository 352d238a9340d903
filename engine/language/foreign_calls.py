"""Calls of other tools: their arguments, outputs and indicators with periods in the name, in the words used here.

Most calls correspond to an operator with the same arguments. `TEMPLATES` lists those that differ in order, scale or
sign, which would otherwise pass with another meaning.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Final, cast

from .foreign_words import (
    EXIT_WORDS,
    LONG_WORDS,
    SHORT_WORDS,
    called,
    dotted_name,
    number,
    parsed,
    share_below,
    timeframe_meant,
    usable_period,
)
from .operators import OPERATORS, Operator
from .words import VARIABLES, meant

NUMBERED: Final = re.compile(
    r"(?P<name>[A-Za-z]+?[A-Za-z]*)_?(?P<numbers>\d+(?:\.\d+)?(?:_\d+(?:[._]\d+)*)?)(?:_[a-z]+)?"
)

OUTPUT_WORDS: Final = {
    "macdline": "macd_line(close)", "macdsignal": "macd_signal(close)", "macdsignalline": "macd_signal(close)",
    "signalline": "macd_signal(close)", "macdhistogram": "macd_hist(close)", "macdhist": "macd_hist(close)",
    **{f"{side}{word}": f"bbands_{side}(close, 20)" for side in ("upper", "lower", "middle")
       for word in ("band", "bands", "bollingerband", "bollingerbands", "bbband")},
    **{f"{word}{side}": f"bbands_{side}(close, 20)" for side in ("upper", "lower", "middle")
       for word in ("bollinger", "bollingers")},
    **{f"{word}{side}band": f"bbands_{side}(close, 20)" for side in ("upper", "lower", "middle")
       for word in ("bollinger", "bb")},
    "inposition": "position != 0", "hasposition": "position != 0", "invested": "position != 0",
    "isflat": "position == 0", "islong": "position > 0", "isshort": "position < 0",
    "isgreen": "close > open", "greencandle": "close > open", "isbullish": "close > open",
    "isred": "close < open", "redcandle": "close < open", "isbearish": "close < open",
    "averagevolume": "sma(volume, 20)", "avgvolume": "sma(volume, 20)", "volumema": "sma(volume, 20)",
    **{f"bb{side}": f"bbands_{side}(close, 20)" for side in ("upper", "lower", "middle")},
    **{f"{side}donchianband": f"donchian_{side}(20)" for side in ("upper", "lower", "middle")},
    **{f"{side}keltnerband": f"keltner_{side}(20)" for side in ("upper", "lower", "middle")},
}  # fmt: skip
"""Outputs by the name that people give them, letters only."""

SHORT_NAMES: Final = {
    "macd": "macd_line", "macds": "macd_signal", "macdh": "macd_hist", "bbl": "bbands_lower", "bbm": "bbands_middle",
    "bbu": "bbands_upper", "bbp": "bb_percent", "bbb": "bb_width", "stochk": "stoch_k", "stochd": "stoch_d",
    "supert": "supertrend_line", "supertd": "supertrend_direction", "atrr": "atr", "dmp": "plus_di", "dmn": "minus_di",
    "dcl": "donchian_lower", "dcm": "donchian_middle", "dcu": "donchian_upper", "kcl": "keltner_lower",
    "kcle": "keltner_lower", "kcb": "keltner_middle", "kcbe": "keltner_middle", "kcu": "keltner_upper",
    "kcue": "keltner_upper", "aroond": "aroon_down", "aroonu": "aroon_up", "aroonosc": "aroonosc", "isa":
    "ichimoku_span_a", "isb": "ichimoku_span_b", "its": "ichimoku_conversion", "iks": "ichimoku_base", "vtxp":
    "vortex_plus", "vtxm": "vortex_minus", "fishert": "fisher_line", "ma": "sma", "hist": "macd_hist",
}  # fmt: skip
"""Columns of pandas-ta and freqtrade, without their numbers."""

TUPLES: Final = {
    "ta.bb": ("bbands_middle", "bbands_upper", "bbands_lower"),
    "ta.kc": ("keltner_middle", "keltner_upper", "keltner_lower"),
    "ta.supertrend": ("supertrend_line", "supertrend_direction"),
    "ta.dmi": ("plus_di", "minus_di", "adx"),
}
"""Outputs in the order of Pine Script, which is not the one here."""

TEMPLATES: Final = {
    # Pine Script: other order, sign or scale
    "ta.bb": "series=close period=20 deviations=2 -> bbands(series, period, deviations)",
    "ta.kc": "series=close period=20 multiplier=1.5 -> keltner(period, period, multiplier)",
    "ta.supertrend": "factor=3 period=10 -> supertrend(period, factor)",
    "ta.dmi": "period=14 smoothing=14 -> dmi(period)",
    "ta.stoch": "series=close top=high bottom=low k=14 -> stochf_k(k)",
    "ta.vwap": "series=hlc3 -> session_vwap()",
    "ta.sar": "start=0.02 step=0.02 maximum=0.2 -> sar(step, maximum)",
    "ta.linreg": "series=close period=14 offset=0 -> linearreg(series, period) - offset * slope(series, period)",
    "ta.tsi": "series=close short=13 long=25 -> tsi(series, long, short) / 100",
    "ta.highestbars": "series=high period=20 -> -bars_since_highest(series, period)",
    "ta.lowestbars": "series=low period=20 -> -bars_since_lowest(series, period)",
    "ta.percentile_nearest_rank": "series period percent -> percentile(series, period, percent)",
    "ta.percentile_linear_interpolation": "series period percent -> percentile(series, period, percent)",
    "ta.range": "series period -> highest(series, period) - lowest(series, period)",
    "ta.mfi": "series=hlc3 period=14 -> mfi(period)",
    # TA-Lib, with the kinds of its averages
    "STOCH": "k=5 smooth=3 smooth_type=0 d=3 d_type=0 -> stoch(k, smooth, d)",
    "MAX": "series=close period=30 -> highest(series, period)",
    "MIN": "series=close period=30 -> lowest(series, period)",
    "MAXINDEX": "series=close period=30 -> bars_since_highest(series, period)",
    "MININDEX": "series=close period=30 -> bars_since_lowest(series, period)",
    "STDDEV": "series=close period=5 deviations=1 -> deviations * stddev(series, period)",
    "VAR": "series=close period=5 deviations=1 -> deviations * var(series, period)",
    "MA": "series=close period=30 matype=0 -> ma(series, period)",
    "STOCHF": "k=5 d=3 d_type=0 -> stochf(k, d)",
    "STOCHRSI": "series=close period=14 k=5 d=3 d_type=0 -> stochrsi(series, period, k, d)",
    "BBANDS": "series=close period=5 deviations=2 lower=2 average=0 -> bbands(series, period, deviations)",
    "PPO": "series=close fast=12 slow=26 average=0 -> ppo(series, fast, slow)",
    "APO": "series=close fast=12 slow=26 average=0 -> apo(series, fast, slow)",
    # AmiBroker, MetaStock, NinjaTrader
    "Cross": "a b -> crossover(a, b)", "CROSS": "a b -> crossover(a, b)",
    "Ref": "series bars -> lag(series, bars)", "REF": "series bars -> lag(series, bars)",
    "CrossAbove": "a b bars=1 -> crossover(a, b)", "CrossBelow": "a b bars=1 -> crossunder(a, b)",
    # thinkScript
    "MovingAverage": "method series=close period=20 -> ma(series, period)",
    # MetaTrader
    "iRSI": "symbol timeframe period=14 price shift -> rsi(price, period)",
    "iMA": "symbol timeframe period=20 moved method price shift -> ma(price, period)",
    "iATR": "symbol timeframe period=14 shift -> atr(period)",
    "iCCI": "symbol timeframe period=14 price shift -> cci(period)",
    "iMFI": "symbol timeframe period=14 shift -> mfi(period)",
    "iWPR": "symbol timeframe period=14 shift -> willr(period)",
    "iMomentum": "symbol timeframe period=14 price shift -> 100 + roc(price, period)",
    "iADX": "symbol timeframe period=14 price mode shift -> adx(period)",
    "iMACD": "symbol timeframe fast=12 slow=26 signal=9 price mode shift -> macd(price, fast, slow, signal)",
    "iStochastic": "symbol timeframe k=5 d=3 smooth=3 method field mode shift -> stoch(k, smooth, d)",
    "iBands": "symbol timeframe period=20 deviations=2 moved price mode shift -> bbands(price, period, deviations)",
    "iSAR": "symbol timeframe step=0.02 maximum=0.2 shift -> sar(step, maximum)",
    "iStdDev": "symbol timeframe period=20 moved method price shift -> stddev(price, period)",
    "iOBV": "symbol timeframe price shift -> obv()",
    "iOpen": "symbol timeframe shift -> open + 0", "iHigh": "symbol timeframe shift -> high + 0",
    "iLow": "symbol timeframe shift -> low + 0", "iClose": "symbol timeframe shift -> close + 0",
    "iVolume": "symbol timeframe shift -> volume + 0",
    "iHighest": "symbol timeframe field period=20 shift -> bars_since_highest(field, period)",
    "iLowest": "symbol timeframe field period=20 shift -> bars_since_lowest(field, period)",
    "OrdersTotal": "-> open_positions + 0", "PositionsTotal": "-> open_positions + 0",
}  # fmt: skip
"""Calls whose arguments do not correspond to those here: the arguments there, with defaults, and the expression here.

`symbol`, `timeframe`, `shift`, `mode` and `method` are those of MetaTrader."""

METHODS: Final = {
    "sma": "sma", "simple": "sma", "0": "sma", "ema": "ema", "exponential": "ema", "1": "ema", "smma": "rma",
    "wilders": "rma", "2": "rma", "lwma": "wma", "weighted": "wma", "3": "wma", "hull": "hma",
}  # fmt: skip

TALIB_KINDS: Final = {
    "0": "sma", "1": "ema", "2": "wma", "3": "dema", "4": "tema", "5": "trima", "6": "kama", "8": "t3",
}  # fmt: skip
LOOKS_BACK: Final = frozenset({"lag", "change", "pct_change", "log_return"})
"""Operators whose period is a number of bars ago: a negative one is in the future, and no misprint."""

MODES: Final = {
    "main": {"macd": "macd_line", "stoch": "stoch_k", "adx": "adx", "bbands": "bbands_middle"},
    "signal": {"macd": "macd_signal", "stoch": "stoch_d"},
    "upper": {"bbands": "bbands_upper"}, "lower": {"bbands": "bbands_lower"},
    "plusdi": {"adx": "plus_di"}, "minusdi": {"adx": "minus_di"},
    "0": {"macd": "macd_line", "stoch": "stoch_k", "adx": "adx", "bbands": "bbands_middle"},
    "1": {"macd": "macd_signal", "stoch": "stoch_d", "bbands": "bbands_upper", "adx": "plus_di"},
    "2": {"bbands": "bbands_lower", "adx": "minus_di"},
}  # fmt: skip

ROLES: Final = {
    "timeperiod": "period", "length": "period", "window": "period", "periods": "period", "n": "period",
    "span": "period", "len": "period", "lookback": "period", "fastperiod": "fast", "slowperiod": "slow",
    "signalperiod": "signal", "fastk_period": "k", "slowk_period": "smooth", "slowd_period": "d", "fastd_period": "d",
    "smooth_k": "smooth", "nbdevup": "deviations", "std": "deviations", "stddev": "deviations", "mult": "multiplier",
    "num_std": "deviations", "nbdev": "deviations", "factor": "multiplier", "afmax": "maximum", "source": "series",
    "src": "series", "price": "series", "real": "series", "vfactor": "factor", "atrperiod": "period",
}  # fmt: skip
"""Arguments by name, and what they are called here."""

NO_ROLES: Final = frozenset(
    {"adjust", "ddof", "axis", "nbdevdn", "matype", "slowk_matype", "slowd_matype", "fastd_matype", "drift", "offset",
     "mamode", "talib", "min_periods", "fillna", "plot", "subplot", "movav", "ewm", "append", "inplace"}
)  # fmt: skip


_TARGETS: Final = frozenset({"order_target_percent", "set_holdings", "setholdings", "order_target_weight"})
_LEVELS: Final = frozenset({"stop", "limit", "profit", "loss", "trail_points", "trail_offset", "trail_price"})


def order_meant(node: ast.Call, dotted: str) -> ast.expr | None:
    """An entry or exit for the buy and sell calls of other tools."""
    last = dotted.rsplit(".", 1)[-1].lower()
    whole = dotted.lower()
    if whole in {"strategy.entry", "strategy.order", "ordersend"}:
        text = ast.unparse(node).lower()
        side = (
            "SHORT" if "strategy.short" in text or "op_sell" in text or '"short"' in text.replace("'", '"') else "LONG"
        )
        return _sized(node, side)
    if whole == "strategy.exit" and any(k.arg in _LEVELS for k in node.keywords):
        return None
    if whole in {
        "orderclose",
        "trade.positionclose",
        "self.close",
        "strategy.close",
        "strategy.exit",
        "strategy.close_all",
        "self.position.close",
        "position.close",
    }:
        return parsed("exit(TICKER)")
    if last in _TARGETS and node.args:
        weight = node.args[-1]
        if isinstance(weight, ast.Constant) and isinstance(weight.value, int | float):
            text = f'entry(TICKER, "LONG", Weight({weight.value:g}))' if weight.value > 0 else "exit(TICKER)"
            return parsed(text)
        return None
    if dotted and (last in LONG_WORDS or last in SHORT_WORDS or last in EXIT_WORDS) and last not in OPERATORS:
        side = "SHORT" if last in SHORT_WORDS else "LONG"
        return parsed("exit(TICKER)") if last in EXIT_WORDS else _sized(node, side)
    return None


def _sized(node: ast.Call, side: str) -> ast.expr | None:
    """An entry with the size of a foreign order: below 1 a share of equity, otherwise an amount. None where it has
    stops that are prices, which the entry here does not take."""
    given = {str(k.arg).lower(): k.value for k in node.keywords}
    if any(name in given for name in ("sl", "tp", "stop", "limit")):
        return None
    size = next((given[name] for name in ("size", "qty", "quantity", "amount") if name in given), None)
    if size is None and len(node.args) == 1 and dotted_name(node.func).lower() in {"buy", "self.buy", "long"}:
        size = node.args[0]
    if size is None:
        return parsed(f'entry(TICKER, "{side}", Weight(0.5))')
    if isinstance(size, ast.Call):
        return parsed(f'entry(TICKER, "{side}", {ast.unparse(size)})')
    if isinstance(size, ast.Constant) and isinstance(size.value, int | float) and size.value > 0:
        kind = "Weight" if size.value < 1 else "Amount"
        return parsed(f'entry(TICKER, "{side}", {kind}({size.value:g}))')
    return parsed(f'entry(TICKER, "{side}", Weight(0.5))')


def method_meant(  # noqa: C901 - one case for each method
    series: ast.expr, name: str, arguments: Sequence[ast.expr]
) -> ast.expr | None:
    """The operator for a method of a series."""
    one: list[ast.expr] = list(arguments[:1]) or [number(1)]
    compared = {"gt": ast.Gt(), "lt": ast.Lt(), "ge": ast.GtE(), "le": ast.LtE(), "eq": ast.Eq()}
    if name in compared and arguments:
        return ast.Compare(series, [compared[name]], list(arguments[:1]))
    held = re.fullmatch(r"(?:\w+?_)?(crossed_above|crossed_below|crosses_above|crosses_below|above|below)", name)
    if held and arguments and name not in OPERATORS:
        if held[1].startswith("cross"):
            return called("crossover" if held[1].endswith("above") else "crossunder", series, *arguments[:1])
        return ast.Compare(series, [ast.Gt() if held[1] == "above" else ast.Lt()], list(arguments[:1]))
    match name:
        case "rolling" | "ewm" | "expanding" | "resample" | "groupby":
            return None
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
        case "quantile" if isinstance(one[0], ast.Constant):
            return called("percentile", series, number(100), number(100 * float(cast("float", one[0].value))))
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


def output_meant(text: str) -> str | None:
    """`bb_lowerband`, `signal_line`, `bollinger.lower`: an output that has another name here."""
    return OUTPUT_WORDS.get(re.sub(r"[^a-z]", "", text.lower())) if not re.search(r"\d", text) else None


_OTHER: Final = {"bbl": "bbands_lower", "bbu": "bbands_upper", "vol": "", "r": ""}


def numbered_meant(text: str) -> ast.expr | None:
    """An indicator with its periods in its name: `ema20`, `RSI_14`, `MACDs_12_26_9`, `BBL_20_2.0`."""
    found = NUMBERED.fullmatch(text)
    if found is None or text in OPERATORS or text in VARIABLES:
        return None
    short, numbers = found["name"].lower(), found["numbers"].split("_")
    if short in {"stochrsik", "stochrsid"} and len(numbers) == 4:
        line = f"stochrsi_d(close, {numbers[1]}, {numbers[0]}, {numbers[2]})"
        return parsed(line if short.endswith("k") else f"sma({line}, {numbers[3]})")
    name = SHORT_NAMES.get(short, short) if len(numbers) > 1 or short not in {"hist", "macd"} else short
    name = name if name in OPERATORS else _OTHER.get(name, "")
    operator = OPERATORS.get(name)
    if operator is None or not operator.constants:
        return None
    if name.startswith("stoch_") and len(numbers) == 3:
        numbers = [numbers[0], numbers[2], numbers[1]]
    if name.startswith("keltner_") and len(numbers) == 2:
        numbers = [numbers[0], numbers[0], numbers[1]]
    fitting = [f"{float(n):g}" for n in numbers[: len(operator.constants)]]
    inputs = ["close"] if operator.inputs else []
    return parsed(f"{name}({', '.join([*inputs, *fitting])})")


def example_of(operator: Operator) -> str | None:
    """A call with the defaults, on the close; None where an argument has no obvious value."""
    if any(p.default is None and p.kind not in {"series", "value", "any"} for p in operator.parameters):
        return None
    texts = ("close" if p.default is None else f"{p.default:g}" for p in operator.parameters if p.kind != "choice")
    return f"{operator.name}({', '.join(texts)})"


def placed(operator: Operator, arguments: list[ast.expr], named: dict[str, ast.expr]) -> ast.expr:
    """A call with arguments by name in their places, as long as there is no gap before them."""
    slots = [p.name for p in operator.parameters]
    if "multiplier" in named and "multiplier" not in slots and "deviations" in slots:
        named["deviations"] = named.pop("multiplier")
    if "deviations" in named and "deviations" not in slots and "multiplier" in slots:
        named["multiplier"] = named.pop("deviations")
    if "period" in named and "period" not in slots:
        first = next((p.name for p in operator.constants if p.kind == "period"), None)
        if first is not None and first not in named:
            named[first] = named.pop("period")
    out = list(arguments)
    if operator.inputs and not out and "series" not in named and operator.inputs[0].kind == "series":
        out.append(ast.Name("close", ast.Load()))
    while len(out) < len(slots) and slots[len(out)] in named:
        out.append(named.pop(slots[len(out)]))
    keywords = [ast.keyword(name, value) for name, value in named.items()]
    period = len(operator.inputs)
    if operator.name not in LOOKS_BACK:
        out = [usable_period(a) if i >= period else a for i, a in enumerate(out)]
    return ast.Call(ast.Name(operator.name, ast.Load()), out, keywords)


def filled(template: str, arguments: list[ast.expr], keywords: dict[str, ast.expr]) -> ast.expr | None:
    """The expression of a template, with the arguments of a call in it."""
    signature, _, body = template.partition("->")
    names = [each.partition("=") for each in signature.split()]
    values: dict[str, ast.expr] = {name: parsed(default) for name, _, default in names if default}
    roles = [name for name, _, _ in names]
    if roles[:1] == ["series"] and "->" in template and arguments and isinstance(arguments[0], ast.Constant):
        arguments = [values.get("series", ast.Name("close", ast.Load())), *arguments]
    values |= dict(zip(roles, arguments, strict=False))
    values |= {ROLES.get(name.lower(), name): value for name, value in keywords.items()}
    words = {name: dotted_name(value) or ast.unparse(value) for name, value in values.items()}
    values["price"] = _price(words.get("price", ""))
    values["field"] = _price(words.get("field", "").replace("MODE_", "PRICE_"))
    made = cast("ast.expr", _Filled(values).visit(parsed(body.strip())))
    kinds = TALIB_KINDS if "matype" in roles else METHODS
    words["method"] = words.get("matype", "0") if "matype" in roles else words.get("method", "sma")
    method = kinds.get(re.sub(r"MODE_|.*\.", "", words.get("method", "sma")).lower(), "sma")
    mode = re.sub(r"MODE_|_", "", words.get("mode", "0")).lower()
    for node in ast.walk(made):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            name = method if node.func.id == "ma" else node.func.id
            node.func.id = MODES.get(mode, {}).get(name, name) if "mode" in roles else name
            node.args = [usable_period(a) if i else a for i, a in enumerate(node.args)]
    missing = [node.id for node in ast.walk(made) if isinstance(node, ast.Name) and node.id in roles]
    elsewhere = isinstance(values.get("symbol"), ast.Constant) and isinstance(
        cast("ast.Constant", values["symbol"]).value, str
    )
    if missing or (elsewhere and "symbol" in roles):
        return None
    return _elsewhen(_simple(made), words, roles)


def _price(word: str) -> ast.expr:
    found = re.fullmatch(r"PRICE_(\w+)", word)
    name = (found[1] if found else "close").lower()
    ours = {"median": "hl2", "typical": "hlc3", "weighted": "wclprice()"}.get(name, name)
    return parsed(ours if ours in VARIABLES or ours.endswith("()") else "close")


def _simple(node: ast.expr) -> ast.expr:
    """`x + 0`, `x - 0 * y` as `x`."""
    match node:
        case ast.BinOp(left=left, op=ast.Add(), right=ast.Constant(value=0)):
            return left
        case ast.BinOp(left=left, op=ast.Sub(), right=ast.BinOp(left=ast.Constant(value=0), op=ast.Mult())):
            return left
        case ast.BinOp(left=ast.Constant(value=1), op=ast.Mult(), right=right):
            return right
        case _:
            return node


def _elsewhen(node: ast.expr, words: dict[str, str], roles: list[str]) -> ast.expr:
    """A value of MetaTrader, on its timeframe and a number of bars ago; a longer timeframe counts closed bars."""
    shift = int(words["shift"]) if "shift" in roles and words.get("shift", "").isdigit() else 0
    length = timeframe_meant(words.get("timeframe", "")) if "timeframe" in roles else None
    longer = length is not None and words.get("timeframe") not in {"0", ""}
    moved = int(words["moved"]) if words.get("moved", "").isdigit() else 0
    back = moved + (shift - 1 if longer else shift)
    if back > 0:
        node = ast.Subscript(node, number(-back - 1), ast.Load())
    return called("tf", ast.Constant(length), node) if longer else node


class _Filled(ast.NodeTransformer):
    """Names of a template, replaced by the arguments."""

    def __init__(self, values: dict[str, ast.expr]) -> None:
        self._values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """An argument."""
        return self._values.get(node.id, node)
