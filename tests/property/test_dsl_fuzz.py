"""For any input, the language answers with a value or with diagnostics, and Python is never reached."""

from __future__ import annotations

import ast
import random
import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.language import (
    CheckedExpression,
    DslError,
    ScriptContext,
    check_expression,
    check_script,
    compile_script,
    evaluate,
)
from engine.language.lexer import MAX_LENGTH
from engine.language.operators import OPERATORS, primary
from engine.language.words import VARIABLES
from tests.engine.language.dsl_markets import BTC, ETH, frame_of
from tests.property.dsl_hostile import ESCAPES, HEAVY, SCRIPTS

ROOT: Final = Path(__file__).parents[2]
FRAME: Final = frame_of(BTC, ETH, count=60)
CONTEXT: Final = ScriptContext((BTC, ETH))
SEEDS: Final = (
    "rsi(close, 14) < 30 and volume > sma(volume, 20)",
    'tf("4h", rsi(close, 14))[-2] > 50 or not crossover(close, open["BINANCE:ETH/USDT"])',
    "where(atr(5) / close > 0.01, macd_hist(close, 3, 6, 2), -1) ** 2 % 7",
    "20 < rsi(close, 5) <= 30 if hour >= 6 else between(close, low, high)",
)
SCRIPT_SEEDS: Final = (
    'x = rsi(close, 14)\nfor t in TICKERS:\n    y = close[t]\n    emit_signal(x < 30, entry(t, "LONG", Weight(0.5)))\n',
    "a, b, c = macd(close)\nemit_signal(crossover(a, b) and cash > 0, [exit(TICKER), rebalance(TICKER, Weight(1))])",
)
_SIGNS: Final = "( ) [ ] , . : = == != < <= > >= + - * / // % ** and or not if else for in lambda import class def"
_VALUES: Final = "0 1 -1 2 14 1e9 0.5 True None 'x' \"BINANCE:BTC/USDT\" __class__ emit_signal entry exit tf Weight"
WORDS: Final = (
    *(o.name for o in primary()),
    *VARIABLES,
    *_SIGNS.split(),
    *_VALUES.split(),
    "\n",
    "\n    ",
    "#",
    "&&",
    "!",
    "é",
)


def _checked(source: str) -> CheckedExpression | DslError:
    try:
        return check_expression.__wrapped__(source)
    except DslError as refused:
        return refused


def _try_expression(source: str) -> None:
    """Check it, and run it if it passes."""
    checked = _checked(source)
    if isinstance(checked, DslError):
        assert checked.diagnostics
        assert all(d.line >= 1 and d.column >= 1 and d.excerpt and d.message for d in checked.diagnostics)
    elif set(checked.instruments) <= {ETH} and checked.lookback < 60:
        assert len(evaluate(checked, FRAME, BTC).series) == 60


def _try_script(source: str) -> None:
    report = check_script(source, CONTEXT)
    assert report.ok or report.diagnostics
    if report.compiled is not None and set(report.compiled.instruments) <= {BTC, ETH} and report.compiled.lookback < 60:
        report.compiled.program(FRAME)


@pytest.mark.parametrize("source", [*ESCAPES, *HEAVY], ids=range(len(ESCAPES) + len(HEAVY)))
def test_hostile_expressions_are_answered_with_diagnostics(source: str) -> None:
    _try_expression(source)


@pytest.mark.parametrize("source", ESCAPES, ids=range(len(ESCAPES)))
def test_no_attempt_to_escape_is_an_expression(source: str) -> None:
    with pytest.raises(DslError):
        check_expression(source)


@pytest.mark.parametrize("source", [*SCRIPTS, *ESCAPES, *HEAVY], ids=range(len(SCRIPTS) + len(ESCAPES) + len(HEAVY)))
def test_hostile_scripts_are_answered_with_diagnostics(source: str) -> None:
    _try_script(source)


@settings(max_examples=120, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_answered(source: str) -> None:
    _try_expression(source)
    _try_script(source)


@settings(max_examples=160, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=25))
def test_any_words_of_the_language_are_answered(words: list[str]) -> None:
    _try_expression(" ".join(words))
    _try_script(" ".join(words))


@settings(max_examples=160, deadline=None)
@given(st.sampled_from((*SEEDS, *SCRIPT_SEEDS)), st.integers(0, 1 << 30))
def test_mutations_of_good_texts_are_answered(seed: str, salt: int) -> None:
    mutated = _mutated(seed, random.Random(salt))

    _try_expression(mutated)
    _try_script(mutated)


def _mutated(text: str, chance: random.Random) -> str:
    for _ in range(chance.randint(1, 4)):
        place, other = sorted(chance.randint(0, len(text)) for _ in range(2))
        match chance.randint(0, 4):
            case 0:
                text = text[:place] + text[other:]
            case 1:
                text = text[:place] + chance.choice(WORDS) + text[place:]
            case 2:
                text = text[:place] + chr(chance.randint(0, 0x2FFF)) + text[place:]
            case 3:
                text = text[:other] + text[place:other] + text[other:]
            case _:
                text = text.replace(chance.choice(text.split() or [" "]), chance.choice(WORDS), 1)
    return text


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(sorted(OPERATORS)),
    st.lists(st.sampled_from(["close", "14", "close > open", '"4h"', "0", "1e9"]), max_size=5),
)
def test_any_arguments_are_answered(name: str, arguments: list[str]) -> None:
    _try_expression(f"{name}({', '.join(arguments)})")


def test_errors_of_a_script_raise_with_all_diagnostics() -> None:
    with pytest.raises(DslError) as refused:
        compile_script("x = rsii(close)\ny = close[1]\nemit_signal(z, exit(TICKER))", CONTEXT)

    assert [d.line for d in refused.value.diagnostics] == [1, 2, 3]


@pytest.mark.parametrize(
    "line",
    [
        "if" + " " * 190,
        "if " + "x       " * 24,
        "buy when " + "1" * 180,
        "buy when " + "123456789012345 " * 11,
        "buy when " + "crosses_above" * 4 + " crosses crosses above above" * 5,
        "buy when " + "rsi entry " * 18,
        "entry: " + "a<" * 90,
        "f(x) => " + "(" * 180,
        "x = a ? " + "b : c ? " * 20,
    ],
)
def test_the_words_of_other_languages_are_looked_for_in_seconds_at_most(line: str) -> None:
    """Five in the longest script, which the line fills."""
    script = "\n".join([line] * (MAX_LENGTH["script"] // (len(line) + 1)))
    began = time.process_time()

    check_script(script, CONTEXT)

    assert time.process_time() - began < 5


def test_the_language_neither_executes_nor_imports_what_it_reads() -> None:
    """Run in a fresh interpreter whose audit hook sees every import, exec, open and process: none happens."""
    program = textwrap.dedent("""
        import sys
        import os
        from tests.property.dsl_hostile import ESCAPES, SCRIPTS
        from api.symbols import Instrument
        from engine.language import CheckedExpression, DslError, ScriptContext, check_expression, check_script
        import engine.language.compile
        check_expression("rsi(close, 14) < 30")
        context = ScriptContext((Instrument("binance", "BTC", "USDT"), Instrument("binance", "ETH", "USDT")))
        seen = []
        watched = ("exec", "import", "open", "os.", "subprocess.", "socket.", "ctypes.", "shutil.")
        sys.addaudithook(lambda event, args: seen.append((event, args)) if event.startswith(watched) else None)
        for source in (*ESCAPES, *SCRIPTS):
            try:
                check_expression(source)
            except DslError:
                pass
            check_script(source, context)
        seen = [each for each in seen if each[1][:1] != (os.devnull,)]
        assert not seen, seen[:3]
        print("clean")
    """)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.stdout.strip() == "clean", done.stderr


def test_the_language_has_no_way_to_execute_text() -> None:
    ways = {"eval", "exec", "compile", "__import__", "globals", "setattr"}
    called = re.compile(rf"(?<!\.)\b({'|'.join(ways)})\s*\(")
    sources = {path: path.read_text(encoding="utf-8") for path in (ROOT / "engine" / "language").rglob("*.py")}
    assert len(sources) > 20
    for path, source in sources.items():
        for node in ast.walk(ast.parse(source)) if called.search(source) else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ways, path


def test_checking_loads_neither_numpy_nor_talib() -> None:
    program = (
        "import sys; from engine.language import catalogue, check_expression; catalogue();"
        "check_expression('rsi(close, 14) < 30'); assert not {'numpy', 'talib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
