"""The words of the language: names that a script reads, forms with special rules, and suggestions for unknown words."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from types import MappingProxyType
from typing import Final, Literal

from api.errors import closest, fold

from .kinds import ANYTHING, SERIES, STRING, TICKER, ValueKind, ValueRange
from .operators import OPERATORS

Group = Literal["price", "time", "context", "state", "external"]


@dataclass(frozen=True, slots=True)
class Variable:
    """A predefined name. `external` ones name data that a feed may have; without it they are DATA_UNAVAILABLE."""

    name: str
    group: Group
    description: str
    kind: ValueKind = SERIES
    bounds: ValueRange = ANYTHING


_PRICE: Final = ValueRange(math.nextafter(0, 1), math.inf)
_COUNT: Final = ValueRange(0, math.inf)
_FLAT: Final = "missing while flat"

_ALL: Final = (
    Variable("open", "price", "First price of the bar, in quote currency.", bounds=_PRICE),
    Variable("high", "price", "Highest price of the bar.", bounds=_PRICE),
    Variable("low", "price", "Lowest price of the bar.", bounds=_PRICE),
    Variable("close", "price", "Last price of the bar.", bounds=_PRICE),
    Variable("volume", "price", "Traded amount in the bar, in base units.", bounds=_COUNT),
    Variable("hl2", "price", "(high + low) / 2.", bounds=_PRICE),
    Variable("hlc3", "price", "(high + low + close) / 3.", bounds=_PRICE),
    Variable("ohlc4", "price", "(open + high + low + close) / 4.", bounds=_PRICE),
    Variable("returns", "price", "close / close one bar ago - 1, as a fraction.", bounds=ValueRange(-1, math.inf)),
    Variable("minute", "time", "Minute of the bar's open time, 0-59, UTC.", bounds=ValueRange(0, 59)),
    Variable("hour", "time", "Hour of the bar's open time, 0-23, UTC.", bounds=ValueRange(0, 23)),
    Variable("day", "time", "Day of the month, 1-31, UTC.", bounds=ValueRange(1, 31)),
    Variable("weekday", "time", "Day of the week, 0 is Monday, 6 is Sunday, UTC.", bounds=ValueRange(0, 6)),
    Variable("month", "time", "Month, 1-12, UTC.", bounds=ValueRange(1, 12)),
    Variable("year", "time", "Year, UTC.", bounds=ValueRange(1970, 9999)),
    Variable("bar_index", "time", "Number of the bar: 0 is the first of the range, warm-up bars are negative."),
    Variable("TICKER", "context", "The ticker that the script runs for (isolated mode).", TICKER),
    Variable("TICKERS", "context", "All tickers of the universe, to loop over.", TICKER),
    Variable("TIMEFRAME", "context", 'Length of a bar, such as "1h".', STRING),
    Variable("EXCHANGE", "context", 'Exchange of the run, such as "binance".', STRING),
    Variable("position", "state", "Size of the ticker's position in base units: negative is short, 0 is flat."),
    Variable("position_side", "state", "1 long, -1 short, 0 flat.", bounds=ValueRange(-1, 1)),
    Variable("entry_price", "state", f"Average entry price, {_FLAT}.", bounds=_PRICE),
    Variable("bars_in_position", "state", "Bars since the position was opened, 0 while flat.", bounds=_COUNT),
    Variable("unrealized_pnl_pct", "state", "Open profit of the position in percent of its entry, 0 while flat."),
    Variable("highest_since_entry", "state", f"Highest price since the position was opened, {_FLAT}.", bounds=_PRICE),
    Variable("lowest_since_entry", "state", f"Lowest price since the position was opened, {_FLAT}.", bounds=_PRICE),
    Variable(
        "bars_since_exit", "state", "Bars since the ticker's last position was closed, missing before.", bounds=_COUNT
    ),
    Variable("last_trade_pnl_pct", "state", "Profit of the ticker's last trade in percent, missing before."),
    Variable("trades_today", "state", "Positions of the ticker opened on the bar's UTC day.", bounds=_COUNT),
    Variable("open_positions", "state", "How many tickers have a position.", bounds=_COUNT),
    Variable("equity", "state", "Value of the account in quote currency."),
    Variable("cash", "state", "Money in the account that no position holds, in quote currency."),
    Variable("drawdown_pct", "state", "Distance of equity from its peak in percent, <= 0.", bounds=ValueRange(-100, 0)),
    Variable("funding_rate", "external", "Funding rate of a perpetual per interval, as a fraction."),
    Variable("open_interest", "external", "Open interest of a perpetual."),
    Variable("active_addresses", "external", "Addresses active on the chain in the bar."),
    Variable("transaction_count", "external", "Transactions on the chain in the bar."),
    Variable("hash_rate", "external", "Hash rate of the chain."),
    Variable("exchange_inflow", "external", "Coins sent to exchanges in the bar."),
    Variable("exchange_outflow", "external", "Coins withdrawn from exchanges in the bar."),
    Variable("exchange_netflow", "external", "exchange_inflow - exchange_outflow."),
    Variable("mvrv", "external", "Market value over realised value."),
    Variable("nvt", "external", "Network value over transactions."),
    Variable("sopr", "external", "Spent output profit ratio."),
)

VARIABLES: Final = MappingProxyType({variable.name: variable for variable in _ALL})
COLUMNS: Final = frozenset({"open", "high", "low", "close", "volume"})


FORMS: Final = (
    "tf",
    "emit_signal",
    "entry",
    "exit",
    "rebalance",
    "grid",
    "Weight",
    "Notional",
    "Amount",
    "Risk",
    "param",
    "move_stop",
    "VolTarget",
    "Kelly",
)
"""Words with rules of their own: another timeframe, and what a script can ask for."""

OTHER_WORDS: Final = {
    "bollinger": "bbands",
    "bollingerbands": "bbands",
    "bb": "bbands",
    "kc": "keltner",
    "keltnerchannel": "keltner",
    "donchianchannel": "donchian",
    "stochastic": "stoch",
    "stochasticrsi": "stochrsi",
    "kd": "stoch",
    "crossedabove": "crossover",
    "crossesabove": "crossover",
    "crossabove": "crossover",
    "crossup": "crossover",
    "crossedbelow": "crossunder",
    "crossesbelow": "crossunder",
    "crossbelow": "crossunder",
    "crossdown": "crossunder",
    "crossed": "cross",
    "barssince": "bars_since",
    "valuewhen": "value_when",
    "percentrank": "rank_pct",
    "percentilerank": "rank_pct",
    "linreg": "linearreg",
    "linregslope": "slope",
    "linearregslope": "slope",
    "correl": "correlation",
    "corr": "correlation",
    "std": "stddev",
    "stdev": "stddev",
    "variance": "var",
    "mean": "sma",
    "ma": "sma",
    "avg": "sma",
    "average": "sma",
    "movingaverage": "sma",
    "rollingmean": "sma",
    "rollingstd": "stddev",
    "rollingsum": "sum",
    "rollingmedian": "median",
    "highesthigh": "highest",
    "lowestlow": "lowest",
    "simplemovingavg": "sma",
    "simplemovingaverage": "sma",
    "movavg": "sma",
    "movavgexponential": "ema",
    "exponentialmovingaverage": "ema",
    "expaverage": "ema",
    "xaverage": "ema",
    "ewma": "ema",
    "movavgweighted": "wma",
    "weightedmovingaverage": "wma",
    "waverage": "wma",
    "hullmovingavg": "hma",
    "wildersaverage": "rma",
    "avgtruerange": "atr",
    "averagetruerange": "atr",
    "relativestrengthindex": "rsi",
    "commoditychannelindex": "cci",
    "moneyflowindex": "mfi",
    "averagedirectionalindex": "adx",
    "williamspercentr": "willr",
    "percentr": "willr",
    "rateofchange": "roc",
    "onbalancevolume": "obv",
    "stdevs": "stddev",
    "standarddev": "stddev",
    "standarddeviation": "stddev",
    "crossesover": "crossover",
    "crossesunder": "crossunder",
    "marketposition": "position",
    "smma": "rma",
    "wilder": "rma",
    "momentum": "mom",
    "atrp": "natr",
    "tr": "trange",
    "truerange": "trange",
    "psar": "sar",
    "parabolicsar": "sar",
    "williamsr": "willr",
    "williams": "willr",
    "wpr": "willr",
    "shift": "lag",
    "ref": "lag",
    "delay": "lag",
    "prev": "lag",
    "diff": "change",
    "delta": "change",
    "pctchange": "pct_change",
    "hh": "highest",
    "ll": "lowest",
    "llv": "lowest",
    "hhv": "highest",
    "rollingmax": "highest",
    "rollingmin": "lowest",
    "argmax": "bars_since_highest",
    "argmin": "bars_since_lowest",
    "highestbars": "bars_since_highest",
    "lowestbars": "bars_since_lowest",
    "cumsum": "cum",
    "fillna": "nz",
    "isna": "is_missing",
    "isnan": "is_missing",
    "na": "is_missing",
    "iff": "where",
    "iif": "where",
    "ifelse": "where",
    "ln": "log",
    "power": "pow",
    "forceindex": "efi",
    "elderray": "elder_ray",
    "massindex": "massi",
    "ultimateoscillator": "ultosc",
    "awesomeoscillator": "ao",
    "heikinashi": "heikin_ashi",
    "ha": "heikin_ashi",
    "chop": "choppiness",
    "volatility": "historical_volatility",
    "hv": "historical_volatility",
    "price": "close",
    "vol": "volume",
    "last": "close",
    "c": "close",
    "o": "open",
    "h": "high",
    "l": "low",
    "v": "volume",
    "barindex": "bar_index",
    "symbol": "TICKER",
    "symbols": "TICKERS",
    "universe": "TICKERS",
    "positionsize": "position",
    "pnl": "unrealized_pnl_pct",
    "balance": "cash",
    "capital": "equity",
    "drawdownpct": "drawdown_pct",
    "signal": "emit_signal",
    "emit": "emit_signal",
    "buy": "entry",
    "long": "entry",
    "short": "entry",
    "sell": "exit",
    "close_position": "exit",
    "security": "tf",
    "timeframe": "TIMEFRAME",
    "resample": "tf",
    "input": "param",
    "inputint": "param",
    "inputfloat": "param",
    "parameter": "param",
    "percent": "Weight",
}

PURPOSES: Final = {
    "oversold": ("rsi", "stoch", "willr", "mfi", "cci"),
    "overbought": ("rsi", "stoch", "willr", "mfi", "cci"),
    "breakout": ("highest", "lowest", "donchian", "lag"),
    "trend": ("adx", "supertrend", "ema", "aroon"),
    "reversion": ("zscore", "bbands", "rsi"),
    "support": ("pivot_points", "pivot_low", "lowest"),
    "resistance": ("pivot_points", "pivot_high", "highest"),
    "pairs": ("zspread", "hedge_ratio", "correlation", "spread"),
    "pair": ("zspread", "hedge_ratio", "correlation", "spread"),
    "stop": ("atr", "chandelier", "supertrend"),
    "trailing": ("chandelier", "highest_since_entry", "supertrend"),
    "previous": ("lag", "change"),
    "ago": ("lag", "value_when"),
    "dip": ("drawdown", "rsi", "zscore"),
    "pullback": ("drawdown", "rsi", "ema"),
    "range": ("atr", "adr", "donchian"),
    "squeeze": ("squeeze", "bb_width", "keltner"),
    "signal": ("macd", "kst", "smi"),
    "histogram": ("macd",),
    "band": ("bbands", "keltner", "donchian", "accbands"),
    "bollinger": ("bbands", "bb_width", "bb_percent"),
    "rank": ("rank_pct", "cs_rank"),
    "crossing": ("crossover", "crossunder", "cross"),
    "schedule": ("every", "hour", "weekday"),
    "session": ("session_high", "session_low", "session_vwap"),
    "ranking": ("cs_rank", "rank_pct"),
}
"""Operators by what people want them for."""

NO_COUNTERPART: Final = {
    "len": "`bar_index` counts the bars of the range",
    "dayofweek": "`weekday` is 0 on Monday and 6 on Sunday; Pine Script counts from 1 on Sunday",
    "dow": "`weekday` is 0 on Monday and 6 on Sunday",
    "timeofday": "Write `hour * 100 + minute >= 930`, in UTC",
    "time": "Read `hour`, `minute`, `weekday`, `day` or `month`, in UTC",
    "barstate": "A script runs on every closed bar; leave it out",
    "strategy": "See the section on intents: `entry(...)`, `exit(...)` and their options `stop_loss=`, `take_profit=`",
    "syminfo": "`TICKER` is the ticker, `EXCHANGE` its exchange",
    "timeframe": '`TIMEFRAME` is the bar length; `tf("4h", x)` reads a longer one',
    "spread": "The fees and slippage of the run are its costs",
    "askprice": "A script sees closed bars: `close`",
    "bidprice": "A script sees closed bars: `close`",
    "np": "Write the operator itself: see the section on operators",
    "stoploss": "Give the entry `stop_loss=0.05`, a fraction of its price",
    "takeprofit": "Give the entry `take_profit=0.1`, a fraction of its price",
    "accountbalance": "`cash` is free money, `equity` the value of the account",
}
"""Words of other tools that no operator replaces, and what to write instead."""

_CLEAR: Final = 0.72
_ALIKE: Final = 0.6
"""Of each part of a name with underscores: `rolling_mean` is not a misspelt `rolling_vwap`."""


def known_words() -> Iterable[str]:
    """Every word of the language."""
    return (*OPERATORS, *VARIABLES, *FORMS)


def looked_for(search: str) -> tuple[str, ...]:
    """The words of the language that a search in other words is for: a name in another tool, or a purpose."""
    found: list[str] = []
    for word in (fold(search), *map(fold, search.split())):
        found += PURPOSES.get(word, ())
        found += [OTHER_WORDS[word]] if word in OTHER_WORDS else []
    found = found or [each for word in search.split() for each in meant(word)[1][:3]]
    return tuple(dict.fromkeys((OPERATORS[n].accessor_of or n) if n in OPERATORS else n for n in found))


def meant(word: str, extra: Iterable[str] = ()) -> tuple[str | None, list[str]]:
    """The word that was clearly meant, or else the candidates."""
    words = (*known_words(), *extra)
    folded = fold(word)
    same = [each for each in words if fold(each) == folded]
    if same:
        return same[0], same
    if folded in OTHER_WORDS:
        return OTHER_WORDS[folded], [OTHER_WORDS[folded]]
    stripped = folded.removeprefix("ta").removeprefix("lib")
    if stripped != folded:
        same = [each for each in words if fold(each) == stripped]
        if same:
            return same[0], same
    near = closest(word, words)
    same_start = bool(near) and near[0][:1].casefold() == word[:1].casefold()
    parts = list(zip(word.casefold().split("_"), near[0].casefold().split("_"), strict=False)) if near else []
    alike = all(SequenceMatcher(None, one, other).ratio() >= _ALIKE for one, other in parts)
    if same_start and alike and SequenceMatcher(None, word.casefold(), near[0].casefold()).ratio() >= _CLEAR:
        return near[0], near
    return None, near
