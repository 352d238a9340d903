"""The language: reading and running expressions and scripts, compared with TA-Lib alone on ready arrays.

python -m bench.dsl
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import talib  # pyright: ignore[reportMissingTypeStubs] - an untyped library

from api.symbols import Instrument
from engine.frame import Bars, Frame
from engine.language import DslError, ScriptContext, check_expression, check_script, compile_script, evaluate
from engine.language.compile import CompiledScript, read
from engine.program import AccountState

BTC: Final = Instrument("binance", "BTC", "USDT")
CONTEXT: Final = ScriptContext((BTC,))
EXPRESSION: Final = "rsi(close, 14) < 30 and volume > sma(volume, 20)"
RSI: Final = (
    'r = rsi(close, 14)\nemit_signal(r < 30, entry(TICKER, "LONG", Weight(1)))\nemit_signal(r > 70, exit(TICKER))\n'
)
STATEFUL: Final = (
    'emit_signal(rsi(close, 14) < 30 and position == 0, entry(TICKER, "LONG", Weight(1)))\n'
    "emit_signal(unrealized_pnl_pct > 5 or bars_in_position > 48, exit(TICKER))\n"
)
HOSTILE: Final = {
    "10 MB of parentheses": "(" * 10_000_000,
    "10,000 indicators": "+".join(f"rsi(close, {n})" for n in range(2, 10_002)),
    "240 indicators": "+".join(f"rsi(close,{n})" for n in range(2, 242)),
    "4,000 minus signs": "-" * 3_999 + "1",
    "9**9**9**9": "9**9**9**9 > close",
}


def frame_of(count: int) -> Frame:
    """A random walk of hourly bars."""
    rng = np.random.default_rng(1)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, count)))
    before = np.concatenate(([100.0], close[:-1]))
    high, low = np.maximum(before, close) * 1.002, np.minimum(before, close) * 0.998
    time_ = 1_600_041_600 + np.arange(count, dtype=np.int64) * 3600
    return Frame("1h", time_, {BTC: Bars(before, high, low, close, rng.lognormal(2, 1, count), "simulated")})


def milliseconds(call: Callable[[], Any], rounds: int) -> float:
    """Median of warm calls."""
    call()
    taken: list[float] = []
    for _ in range(rounds):
        begun = time.perf_counter()
        call()
        taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken)


def refused(source: str) -> None:
    """Check a hostile text."""
    try:
        check_expression.__wrapped__(source)
    except DslError:
        return
    raise RuntimeError("it passed")


def ask(script: CompiledScript, frame: Frame) -> None:
    """Run a stateful script on every bar, with an account that stays flat."""
    program = script.program(frame)
    if isinstance(program, tuple):
        raise TypeError("the script reads no state")
    account = AccountState(10_000.0, 10_000.0, 0.0, {})
    for bar in range(len(frame)):
        program.decide(bar, account)


def main() -> None:
    """Print the figures."""
    print(
        f"read an expression            {milliseconds(lambda: check_expression.__wrapped__(EXPRESSION), 200):9.3f} ms"
    )
    print(f"read and compile an RSI script{milliseconds(lambda: read.__wrapped__(RSI, CONTEXT), 200):9.3f} ms")
    for name, source in HOSTILE.items():
        print(f"refuse {name:23}{milliseconds(lambda s=source: refused(s), 5):9.3f} ms")
    print(f"refuse a script of 49,000 tabs{milliseconds(lambda: check_script(chr(9) * 49_000, CONTEXT), 5):9.3f} ms")
    for count in (500, 8_760, 525_600):
        frame = frame_of(count)
        close = frame.bars[BTC].close
        rounds = 200 if count < 10_000 else 7
        floor = milliseconds(lambda c=close: talib.RSI(c, 14), rounds)
        expression, script = check_expression(EXPRESSION), compile_script(RSI, CONTEXT)
        print(f"{count:,} bars")
        print(f"  TA-Lib RSI alone            {floor:9.3f} ms")
        one = milliseconds(lambda f=frame, e=expression: evaluate(e, f, BTC), rounds)
        print(f"  evaluate the expression     {one:9.3f} ms")
        whole = milliseconds(lambda f=frame, s=script: s.program(f), rounds)
        print(f"  the RSI script as a program {whole:9.3f} ms  ({whole / floor:.2f} x TA-Lib)")
        stateful = compile_script(STATEFUL, CONTEXT)
        asked = milliseconds(lambda f=frame, s=stateful: ask(s, f), 3)
        print(f"  a stateful script, all bars {asked:9.3f} ms  ({1000 * asked / count:.2f} us a bar)")


if __name__ == "__main__":
    main()
