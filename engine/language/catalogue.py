"""The content of the language: plain records for the catalogue and completion, and the operators document.

Both are generated from the registry, so they always match the running code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from .intents import FORMS, SIZINGS, signature
from .operators import OPERATOR_CATEGORIES, Operator, primary
from .spec import Constant, Memory
from .words import VARIABLES, Group


@dataclass(frozen=True, slots=True)
class OperatorEntry:
    """An operator or indicator. `warmup_bars` are those before its first value, with the defaults where it has them."""

    name: str
    signature: str
    category: str
    description: str
    defaults: dict[str, Constant]
    outputs: tuple[str, ...]
    reads: tuple[str, ...]
    warmup: str
    warmup_bars: int | None
    memory: Memory
    source: str


@dataclass(frozen=True, slots=True)
class VariableEntry:
    """A name that can be read. `available` is False where no feed of the engine has the data."""

    name: str
    group: Group
    kind: str
    description: str
    available: bool


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything that can be written in an expression or a script."""

    indicators: tuple[OperatorEntry, ...]
    operators: tuple[OperatorEntry, ...]
    variables: tuple[VariableEntry, ...]


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """The whole language, in the registry's order."""
    listed = primary()
    return Catalogue(
        indicators=tuple(_entry(o) for o in listed if o.category not in OPERATOR_CATEGORIES),
        operators=tuple(_entry(o) for o in listed if o.category in OPERATOR_CATEGORIES),
        variables=tuple(
            VariableEntry(v.name, v.group, str(v.kind), v.description, v.group != "external")
            for v in VARIABLES.values()
        ),
    )


def _entry(operator: Operator) -> OperatorEntry:
    constants = [p.default for p in operator.constants]
    known = [c for c in constants if c is not None]
    return OperatorEntry(
        name=operator.name,
        signature=operator.signature,
        category=operator.category,
        description=operator.description,
        defaults=operator.defaults,
        outputs=tuple(output.name for output in operator.outputs),
        reads=tuple(name for name in operator.reads if name in VARIABLES),
        warmup=operator.warmup,
        warmup_bars=operator.warmup_bars(known) if len(known) == len(constants) else None,
        memory=operator.memory,
        source=operator.source,
    )


_MEMORY: Final = {
    "window": "",
    "decaying": " Settles: it forgets where the history began.",
    "start": " Depends on the first loaded bar.",
}
_SYMBOLS: Final = (
    ("`+ - * / // % **`", "Arithmetic. A division by zero, and any result that is not a finite number, is missing."),
    ("`< <= > >= == !=`", "Comparisons; they chain: `20 < rsi(close, 14) < 30`. False where a side is missing."),
    ("`and or not`", "Conditions joined, bar by bar."),
    ("`a if condition else b`", "A choice, bar by bar."),
    ("`x[-1]` `x[-2]`", "The value on this bar, and one bar ago."),
    ('`x["BINANCE:ETH/USDT"]`', "The series of another ticker, whatever it is computed from."),
    ('`tf("4h", x)`', "x on bars of a longer timeframe, as far as they are closed."),
)
_INTRODUCTION: Final = """\
# Operators and indicators

Everything that an expression or a script can call. `series` takes numbers over time such as `close`; `period` and other
numbers with a default are constants. An indicator that reads high, low, close or volume reads them itself:
`atr(14)`; name them all to use others: `atr(high, low, close, 14)`.

* Values come from bars up to the current one only. **Warm-up** is the number of bars before the first value.
* Conventions are TA-Lib's. RSI and ATR are Wilder's. ATR begins with the mean of the first `period` true ranges that
  have a close before them; TradingView also counts the first bar's high - low, so the first values differ by some
  percent and the difference fades.
* 0 / 0 is missing: an oscillator has no value while nothing moved or nothing was traded on the bars it remembers.
* Equal inputs give equal outputs: windows are summed without a running total, prices are rounded to 14 significant
  digits and values without a unit to 12 decimals, so `close < bbands_lower(close, 20)` is false on a price that stands
  still. Of equal values the newest is the highest or lowest.
* An operator with several outputs is unpacked, `line, signal, hist = macd(close)`, or read one by one:
  `macd_hist(close)`.
* Missing values: averages, statistics and indicators are computed over the known values of a series; `x[-2]`, `lag`,
  crossings and counts go by bars, and are missing or false where a bar is.
"""


def render() -> str:
    """The whole document, in markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield _INTRODUCTION
    yield "## Signs\n\n| Written | Meaning |\n|---|---|"
    for written, meaning in _SYMBOLS:
        yield f"| {written} | {meaning} |"
    words = catalogue()
    listed = (*words.operators, *words.indicators)
    for category in dict.fromkeys(entry.category for entry in listed):
        if category == "candle pattern":
            yield from _patterns([entry for entry in listed if entry.category == category])
            continue
        yield f"\n## {category.capitalize()}\n\n| Signature | Description | Warm-up | By |\n|---|---|---|---|"
        for entry in listed:
            if entry.category == category:
                yield _row(entry)
    yield from _intents()


def _patterns(entries: Sequence[OperatorEntry]) -> Iterator[str]:
    yield "\n## Candle patterns\n\n100 where a bullish pattern ends on this bar, -100 for a bearish one, else 0."
    yield "`cdl_engulfing`, `cdl_harami` and `cdl_haramicross` are 80 and -80 where one end of the two bodies is equal;"
    yield "`cdl_hikkake` and `cdl_hikkakemod` are 200 and -200 on the bar that confirms them. So compare with 0:"
    yield "`cdl_engulfing() > 0`. They read open, high, low and close; computed by TA-Lib.\n"
    yield "| Signature | Pattern | Warm-up |\n|---|---|---|"
    for entry in entries:
        yield f"| `{entry.signature}` | {entry.description.partition(':')[0]} | {entry.warmup} |"


def _row(entry: OperatorEntry) -> str:
    outputs = f" Outputs: {', '.join(entry.outputs)}." if len(entry.outputs) > 1 else ""
    reads = f" Reads {', '.join(entry.reads)}." if entry.reads else ""
    by = entry.source.removeprefix("TA-Lib ") if entry.source.startswith("TA-Lib") else "own"
    text = f"{entry.description}{outputs}{reads}{_MEMORY[entry.memory]}".replace("|", "\\|")
    return f"| `{entry.signature}` | {text} | {entry.warmup} | {by} |"


def _intents() -> Iterator[str]:
    yield "\n## Intents and sizings (scripts only)\n\n| Signature | Options |\n|---|---|"
    for name, options in FORMS.items():
        hints = "; ".join(f"`{o.name}` {o.hint}" for o in options if o.hint)
        yield f"| `{signature(name)}` | {hints} |"
    for name, (_, option) in SIZINGS.items():
        yield f"| `{name}({option.name})` | {option.hint} |"
    yield "| `VolTarget(target, period=20, most=1)` | the weight at which the ticker's volatility a year is `target` |"
    yield "| `Kelly(win_rate, payoff, most=0.25)` | win_rate - (1 - win_rate) / payoff of equity, from 0 to `most` |"
    yield "| `param(name, default, low, high, step=)` | a number that a run or a sweep can set; constant in a run |"
