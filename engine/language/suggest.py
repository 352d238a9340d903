"""The word of the language that was probably meant by an unknown one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import Final

from api.text import closest, fold

from .registry import OPERATORS
from .variables import VARIABLES

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

_OTHER_WORDS: Final = {
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
    "dayofweek": "weekday",
    "dow": "weekday",
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

_CLEAR: Final = 0.72


def known_words() -> Iterable[str]:
    """Every word of the language."""
    return (*OPERATORS, *VARIABLES, *FORMS)


def meant(word: str, extra: Iterable[str] = ()) -> tuple[str | None, list[str]]:
    """The word that was clearly meant, if one was, and the candidates otherwise."""
    words = (*known_words(), *extra)
    folded = fold(word)
    same = [each for each in words if fold(each) == folded]
    if same:
        return same[0], same
    if folded in _OTHER_WORDS:
        return _OTHER_WORDS[folded], [_OTHER_WORDS[folded]]
    stripped = folded.removeprefix("ta").removeprefix("lib")
    if stripped != folded:
        same = [each for each in words if fold(each) == stripped]
        if same:
            return same[0], same
    near = closest(word, words)
    if near and SequenceMatcher(None, word.casefold(), near[0].casefold()).ratio() >= _CLEAR:
        return near[0], near
    return None, near
