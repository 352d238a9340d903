"""Candles for the tests of the language."""

from __future__ import annotations

import ast
import csv
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from api.symbols import Instrument
from api.times import SECONDS, Timeframe
from engine.frame import Bars, Floats, Frame
from engine.language.calls import Checker
from engine.language.evaluation import Evaluator, NodeSeries
from engine.language.graph import Graph, Node
from engine.language.operators import OPERATORS
from engine.language.parse import parse
from engine.language.values import CheckingContext, Outputs

BTC: Final = Instrument("binance", "BTC", "USDT")
ETH: Final = Instrument("binance", "ETH", "USDT")
PERP: Final = Instrument("binancefuturesusd", "BTC", "USDT")
MIDNIGHT: Final = 1_600_041_600
"""2020-09-14 00:00 UTC, a Monday."""


def random_bars(count: int, seed: int = 1, price: float = 100.0) -> Bars:
    """A random walk with gaps between close and open, some equal prices, and bars without volume."""
    return Bars(*(column.copy() for column in _walk(count, seed, price)), source="simulated")


@lru_cache(maxsize=64)
def _walk(count: int, seed: int, price: float) -> tuple[Floats, ...]:
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 0.01, count) * rng.integers(0, 8, count).clip(max=1)
    close = price * np.exp(np.cumsum(steps))
    before = np.concatenate(([price], close[:-1]))
    open_ = before * np.exp(rng.normal(0, 0.002, count) * rng.integers(0, 2, count))
    high = np.maximum(open_, close) * (1 + rng.exponential(0.003, count))
    low = np.minimum(open_, close) * (1 - rng.exponential(0.003, count).clip(max=0.5))
    volume = rng.lognormal(2, 1, count) * rng.integers(0, 10, count).clip(max=1)
    return open_, high, low, close, volume


def frame_of(
    *instruments: Instrument, count: int = 400, timeframe: Timeframe = "1h", seed: int = 1, start: int = MIDNIGHT
) -> Frame:
    """One frame of random bars; every instrument has an independent walk."""
    time = start + np.arange(count, dtype=np.int64) * SECONDS[timeframe]
    return Frame(timeframe, time, {i: random_bars(count, seed + n) for n, i in enumerate(instruments or (BTC,))})


def prefix(frame: Frame, count: int) -> Frame:
    """The first bars of a frame."""
    bars = {
        i: Bars(b.open[:count], b.high[:count], b.low[:count], b.close[:count], b.volume[:count], b.source)
        for i, b in frame.bars.items()
    }
    return Frame(frame.timeframe, frame.time[:count], bars)


def scaled(frame: Frame, factor: float) -> Frame:
    """The same market with prices `factor` times as high."""
    bars = {
        i: Bars(b.open * factor, b.high * factor, b.low * factor, b.close * factor, b.volume, b.source)
        for i, b in frame.bars.items()
    }
    return Frame(frame.timeframe, frame.time, bars)


@lru_cache(maxsize=1)
def recorded(path: Path) -> Frame:
    """The recorded BTC hours, oldest first."""
    columns = ("unix", "open", "high", "low", "close", "volume")
    with path.open(newline="") as file:
        rows = [[float(row[name]) for name in columns] for row in csv.DictReader(file)]
    table = np.asarray(rows[::-1])
    prices = (np.ascontiguousarray(table[:, i]) for i in range(1, 6))
    return Frame("1h", table[:, 0].astype(np.int64), {BTC: Bars(*prices, source="imported")})


@lru_cache(maxsize=2048)
def nodes_of(source: str, universe: tuple[Instrument, ...], timeframe: Timeframe = "1h") -> tuple[Node, ...]:
    """Every output of an expression, as a script over `universe` reads it."""
    parsed = parse(source, "expression")
    checker = Checker(parsed, Graph(timeframe), CheckingContext(script=True, universe=universe, exchange="binance"))
    statement = parsed.statements[0]
    assert isinstance(statement, ast.Expr)
    value = checker.value(statement.value)
    parsed.findings.raise_errors("expression")
    nodes = value.nodes if isinstance(value, Outputs) else (value,)
    return tuple(node for node in nodes if isinstance(node, Node))


def reach_of(source: str) -> int:
    """Bars to load before a bar so that its value is settled."""
    return max(node.lookback + node.settling for node in nodes_of(source, (BTC, ETH)))


def outputs_of(source: str, frame: Frame, timeframe: Timeframe = "1h") -> list[NodeSeries]:
    """Every output of an expression for the first instrument, as a script over all instruments would see it."""
    universe = tuple(frame.bars)
    evaluator = Evaluator(frame, universe)
    return [evaluator.series(node, universe[0]) for node in nodes_of(source, universe, timeframe)]


def by_category(names: Iterable[str]) -> dict[str, list[str]]:
    """Operators by category."""
    categories: dict[str, list[str]] = {}
    for name in names:
        categories.setdefault(OPERATORS[name].category, []).append(name)
    return categories


def hold(names: list[str], law: Callable[[str], None]) -> None:
    """A law for each of these operators; a failure names its operators, and says how."""
    failures: list[Exception] = []
    for name in names:
        try:
            law(name)
        except Exception as error:  # noqa: BLE001 - all are raised below
            error.add_note(f"operator: {name}")
            failures.append(error)
    if failures:
        raise ExceptionGroup(f"{len(failures)} of {len(names)} operators", failures)


def for_each(names: Iterable[str]) -> Callable[[Callable[[str], None]], Callable[[str], None]]:
    """A law for each of these operators. A case checks one category."""
    categories = by_category(names)

    def decorate(law: Callable[[str], None]) -> Callable[[str], None]:
        def cases(category: str) -> None:
            hold(categories[category], law)

        cases.__name__, cases.__doc__ = law.__name__, law.__doc__
        return pytest.mark.parametrize("category", categories)(cases)

    return decorate
