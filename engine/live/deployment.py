"""The strategy that a subscription runs: from the catalogue, or from one of the subscriber's completed backtests."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final, Literal

import sqlalchemy as sa

from api.errors import InvalidInput, NotFound, closest, show
from api.exchanges import ExchangeId
from api.symbols import Instrument, resolve
from api.times import Timeframe
from engine.jobs.spec import PORTFOLIO, Spec
from engine.store.backtests import jobs_table, results_table

_KEPT: Final = 256
"""How many deployments stay in memory: each is read at every bar and for every order."""

_MOST_OWN: Final = 50
"""The maximum number of own strategies in a list."""

_SHOWN_METRICS: Final = ("total_return_pct", "max_drawdown", "sharpe_ratio", "win_rate", "num_trades", "profit_factor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A strategy, frozen when it is subscribed to: later changes do not affect it.

    The terms are those of the backtest: `initial_cash` (in mode trade the account's equity when it was deployed),
    `fee`, `slippage`, `leverage`, the portfolio limits `stop_loss` and `take_profit`, and `max_volume_share`; rates are
    fractions.
    `result_id` and `metrics` name the backtest behind it.
    """

    strategy_id: str
    name: str
    description: str
    exchange: ExchangeId
    tickers: tuple[str, ...]
    timeframe: Timeframe
    script: str
    mode: Literal["isolated", "cross"] = "isolated"
    leverage: float = 1.0
    initial_cash: float = 10_000.0
    fee: float = 0.0005
    slippage: float = 0.0
    stop_loss: float | None = None
    take_profit: float | None = None
    max_volume_share: float | None = None
    source: Literal["catalogue", "backtest"] = "catalogue"
    result_id: str | None = None
    metrics: dict[str, Any] | None = None

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """The universe."""
        return _resolved(self.tickers)

    def to_json(self) -> str:
        """To the subscription's row."""
        return json.dumps(asdict(self))

    @staticmethod
    @lru_cache(_KEPT)
    def from_json(text: str) -> Deployment:
        """From the subscription's row."""
        values: dict[str, Any] = json.loads(text)
        values["tickers"] = tuple(values["tickers"])
        return Deployment(**values)


@lru_cache(_KEPT)
def _resolved(tickers: tuple[str, ...]) -> tuple[Instrument, ...]:
    return tuple(resolve(ticker) for ticker in tickers)


@dataclass(frozen=True, slots=True)
class _Ready:
    name: str
    rules: str
    timeframe: Timeframe
    tickers: tuple[str, ...] = ("BINANCE:BTC/USDT", "BINANCE:ETH/USDT", "BINANCE:SOL/USDT")


_PERPETUALS: Final = ("BINANCEFUTURESUSD:BTC/USDT:USDT", "BINANCEFUTURESUSD:ETH/USDT:USDT")

_CATALOGUE: Final[dict[str, _Ready]] = {
    "rsi-reversion": _Ready(
        "RSI reversion",
        "Buys 30 % of equity when RSI(14) falls below 30; sells when it rises above 55, or 5 % below the entry.",
        "1h",
    ),
    "bollinger-reversion": _Ready(
        "Bollinger reversion",
        "Buys 30 % of equity on a close below the lower Bollinger band (20, 2) while above EMA(200); "
        "sells above the middle band, or 3 % below the entry.",
        "15m",
    ),
    "donchian-breakout": _Ready(
        "Donchian breakout",
        "Buys 30 % of equity on a close above the highest high of the 55 bars before; sells on a close below the "
        "lowest low of the 20 bars before, or 10 % below the entry.",
        "4h",
    ),
    "macd-momentum": _Ready(
        "MACD momentum",
        "Buys 30 % of equity when MACD (12, 26, 9) crosses above its signal line while above EMA(200); "
        "sells when it crosses below.",
        "1h",
    ),
    "ema-trend-long-short": _Ready(
        "EMA trend, long and short",
        "Perpetuals, 40 % of equity each: long when EMA(21) crosses above EMA(55), short when it crosses below, "
        "with a trailing stop of 6 %.",
        "1h",
        _PERPETUALS,
    ),
}


def catalogue() -> tuple[Deployment, ...]:
    """The ready strategies."""
    return tuple(_ready(strategy_id) for strategy_id in _CATALOGUE)


def own_strategies(connection: sa.Connection, agent_id: str) -> tuple[Deployment, ...]:
    """The agent's completed backtests, newest first. A portfolio holds several strategies, so it is not among them."""
    is_strategy = jobs_table.c.spec.not_like(f"{PORTFOLIO}%")
    own = _results().where(results_table.c.agent_id == agent_id, is_strategy)
    wanted = own.order_by(results_table.c.id.desc()).limit(_MOST_OWN)
    return tuple(_of_result(row) for row in connection.execute(wanted))


def find_strategy(connection: sa.Connection, agent_id: str, strategy_id: str) -> Deployment:
    """A strategy of the catalogue, or a backtest result of the agent's by its id.

    Raises:
        NotFound: `STRATEGY_NOT_FOUND`, with close names.
        InvalidInput: The result is a portfolio.
    """
    if strategy_id in _CATALOGUE:
        return _ready(strategy_id)
    row = connection.execute(
        _results().where(results_table.c.id == strategy_id, results_table.c.agent_id == agent_id)
    ).one_or_none()
    if row is not None and row.spec.startswith(PORTFOLIO):
        raise InvalidInput(
            f"{strategy_id} is a portfolio of several strategies, and each strategy is deployed on its own",
            suggestion="Use the result_id of the backtest of each strategy",
        )
    if row is not None:
        return _of_result(row)
    near = closest(strategy_id, _CATALOGUE)
    raise NotFound(
        f"there is no strategy {show(strategy_id)}",
        suggestion=f"Did you mean {' or '.join(near)}?"
        if near
        else f"Use one of {', '.join(_CATALOGUE)}, or the result_id of a completed backtest of yours",
        code="STRATEGY_NOT_FOUND",
    )


def _ready(strategy_id: str) -> Deployment:
    ready = _CATALOGUE[strategy_id]
    return Deployment(
        strategy_id=strategy_id,
        name=ready.name,
        description=ready.rules,
        exchange=_resolved(ready.tickers)[0].exchange,
        tickers=ready.tickers,
        timeframe=ready.timeframe,
        script=files("engine.live").joinpath("scripts", f"{strategy_id}.signal").read_text(encoding="utf-8"),
    )


def _results() -> sa.Select[Any, Any, Any]:
    return sa.select(results_table.c.id, results_table.c.metrics, jobs_table.c.spec).join(
        jobs_table, jobs_table.c.id == results_table.c.job_id
    )


def _of_result(row: Any) -> Deployment:
    spec = Spec.from_json(row.spec)
    metrics: dict[str, Any] = json.loads(row.metrics)
    return Deployment(
        strategy_id=row.id,
        name=spec.description or f"{spec.strategy_type} on {', '.join(spec.tickers[:3])}",
        description=f"Your {spec.strategy_type} backtest of {spec.start_date} to {spec.end_date}.",
        exchange=spec.exchange,
        tickers=spec.tickers,
        timeframe=spec.timeframe,
        script=spec.script,
        mode=spec.mode,
        leverage=spec.leverage,
        initial_cash=spec.initial_cash,
        fee=spec.trading_fee,
        slippage=spec.slippage,
        stop_loss=None if spec.stop_loss is None else spec.stop_loss / 100,
        take_profit=None if spec.take_profit is None else spec.take_profit / 100,
        max_volume_share=spec.max_volume_share,
        source="backtest",
        result_id=row.id,
        metrics={name: metrics.get(name) for name in _SHOWN_METRICS},
    )
