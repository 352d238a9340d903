"""A job's work, limits and result. Everything is decided at the request, so that a restart runs the same job."""

from __future__ import annotations

import ast
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from api.exchanges import DataChoice, ExchangeId
from api.symbols import Instrument, resolve
from api.times import SECONDS, Timeframe

if TYPE_CHECKING:
    from api.backtests import MarginMode
    from api.strategies import StrategyType
    from engine.store.backtests import SearchRuns

SWEEP: Final = '{"sweep"'
"""How the row of a job begins that is a sweep."""
PORTFOLIO: Final = '{"portfolio"'
"""How the row of a job begins that is a portfolio."""
_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class JobLimits:
    """The limits of one job: seconds from its start, and megabytes of address space where the platform supports it."""

    seconds: float = 600.0
    memory_mb: int = 4_096


@dataclass(frozen=True, slots=True)
class JobSettings:
    """How backtests are run.

    Attributes:
        slots: Jobs that run at the same time, each in a separate process. The default is one less than the number of
            cores, within 2 to 8, so that a long job does not block all others.
        limits: Limits of one job.
        max_bars: The maximum number of bars of a job, over all its tickers.
        executor: Where sweep blocks run: empty for processes of this machine, or `dask://host:port`.
    """

    slots: int = field(default_factory=lambda: min(8, max(2, (os.cpu_count() or 2) - 1)))
    limits: JobLimits = field(default_factory=JobLimits)
    max_bars: int = 6_000_000
    executor: str = ""


@dataclass(frozen=True, slots=True)
class CandleOrigin:
    """A worker's source of candles: the database, whether other data is simulated and by which seed; its executor."""

    database_url: str
    seed: int
    executor: str = ""
    data: DataChoice = "simulated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A checked backtest.

    Attributes:
        tickers: EXCHANGE:SYMBOL, in the order of the universe.
        start, end: Open times of the bars to trade on, unix seconds, `start <= time < end`.
        start_date, end_date: As requested, YYYY-MM-DD.
        as_of: Time of the request, unix seconds; the job does not see later bars.
        script: The script, written by the caller or, if `generated`, from `parameters`.
        stop_loss, take_profit: Portfolio limits in percent of the initial cash.
        warnings: Assumptions and possible mistakes.
        experiment: The search that this run belongs to.
        max_volume_share: The fraction of a bar's volume that a fill may open; None sets no limit.
    """

    strategy_type: StrategyType | Literal["portfolio"]
    script: str
    generated: bool
    mode: MarginMode
    exchange: ExchangeId
    tickers: tuple[str, ...]
    timeframe: Timeframe
    start: int
    end: int
    start_date: str
    end_date: str
    as_of: float
    initial_cash: float
    leverage: float
    trading_fee: float
    slippage: float
    stop_loss: float | None
    take_profit: float | None
    description: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])
    warnings: tuple[str, ...] = ()
    experiment: str | None = None
    max_volume_share: float | None = None

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """The universe."""
        return tuple(resolve(ticker) for ticker in self.tickers)

    @property
    def bars(self) -> int:
        """The number of bars in the range for one ticker, if none is missing."""
        return -(-(self.end - self.start) // SECONDS[self.timeframe])

    @property
    def seconds(self) -> int:
        """Length of a bar."""
        return SECONDS[self.timeframe]

    @property
    def market(self) -> str:
        """Names the universe, whatever its order: variants are counted per universe."""
        return _digest(sorted(self.tickers))

    def search(self, agent_id: str) -> SearchRuns:
        """The search that this run is a try of."""
        from engine.store.backtests import SearchRuns

        return SearchRuns(agent_id, self.market, self.start, self.end, SECONDS[self.timeframe], self.experiment)

    @property
    def variant(self) -> str:
        """Names the strategy: the script's meaning and its run settings, without costs and cash."""
        return _digest(
            [_meaning(self.script), self.mode, self.timeframe, self.leverage, self.stop_loss, self.take_profit]
        )

    def variant_of(self, *terms: object) -> str:
        """Names the strategy with further terms."""
        return _digest([self.variant, *terms])

    def to_json(self) -> str:
        """For the job's row."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Spec:
        """From the job's row."""
        values: dict[str, Any] = json.loads(text)
        for name in ("tickers", "warnings"):
            values[name] = tuple(values[name])
        return cls(**values)


def base_of(text: str) -> Spec:
    """The backtest in the row of any job: the backtest, the base of a sweep, or the account of a portfolio."""
    given: dict[str, Any] = json.loads(text)
    if "sweep" in given:
        return Spec.from_json(given["sweep"]["base"])
    return Spec.from_json(given["portfolio"]["account"] if "portfolio" in given else text)


def work_of(text: str) -> dict[str, Any]:
    """What a job computes: equal for two requests that would give the same result on the same candles."""
    given: dict[str, Any] = json.loads(text)
    if "sweep" in given:
        sweep = given["sweep"]
        return {**sweep, "base": _work(sweep["base"]), "tried_before": None}
    if "portfolio" in given:
        portfolio = given["portfolio"]
        return {**portfolio, "account": _work(portfolio["account"]), "books": [_work(b) for b in portfolio["books"]]}
    return _work(text)


def _work(spec: str) -> dict[str, Any]:
    """A backtest with the number of its last closed bar instead of the moments that decide it."""
    given: dict[str, Any] = json.loads(spec)
    step = min(SECONDS[given["timeframe"]], _DAY)
    return {**given, "as_of": None, "end": min(-(-given["end"] // step), given["as_of"] // step)}


@dataclass(frozen=True, slots=True)
class ResultColumns:
    """A result's columns. JSON as text; trades and equity as little-endian float64 tables, row by row."""

    market: str
    start: int
    end: int
    variant: str
    sharpe: float | None
    bar_seconds: int
    experiment: str | None
    summary: str
    metrics: str
    analysis: str
    tickers: str
    trade_labels: str
    trades: bytes
    equity: bytes

    def columns(self) -> dict[str, Any]:
        """By column name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class SweepOutcome:
    """A sweep's columns. `found` is its result as JSON; `tried` the Sharpe ratio of each variant by name."""

    market: str
    start: int
    end: int
    bar_seconds: int
    experiment: str | None
    found: str
    tried: str

    def columns(self) -> dict[str, Any]:
        """By column name."""
        return asdict(self)


def _meaning(script: str) -> str:
    """The script without its comments and spacing."""
    try:
        return ast.dump(ast.parse(script))
    except SyntaxError:
        return script


def _digest(parts: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
