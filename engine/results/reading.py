"""Builds the responses of the results endpoints from a stored result."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from typing import Any, Final

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from api.backtest_results import (
    AnalysisResponse,
    EquityPoint,
    EquityResponse,
    KeyMetrics,
    MetricsResponse,
    PerTickerResponse,
    RecentResponse,
    RecentResult,
    ResultsResponse,
    TickerPerformance,
    Trade,
    TradesResponse,
)
from api.backtests import EquityRequest, PageRequest, TradesRequest
from api.errors import InvalidInput, NotFound
from api.refusals import show
from api.symbols import resolve
from api.times import iso8601
from engine.frame import Floats
from engine.store.backtests import SearchRuns, find_result, job_spec, recent_results, tried

from .analysis import told
from .packing import TRADE_COLUMNS, Labels, Table, closing_times, read_curve, read_trades, trade_row
from .robustness import robustness

_EVERYTHING: Final = (
    "id",
    "job_id",
    "agent_id",
    "created_at",
    "market",
    "start",
    "end",
    "variant",
    "bar_seconds",
    "experiment",
    "summary",
    "metrics",
)


def results(connection: sa.Connection, result_id: str, agent_id: str) -> ResultsResponse:
    """The verdict, with the number of variants tried so far."""
    row = result_row(connection, result_id, agent_id, _EVERYTHING)
    metrics: dict[str, Any] = json.loads(row.metrics)
    others = tried(connection, _search(row))
    return ResultsResponse.model_validate(
        {
            **json.loads(row.summary),
            "metrics": {name: metrics.get(name) for name in KeyMetrics.model_fields},
            "result_id": row.id,
            "backtest_id": row.job_id,
            "created_at": iso8601(row.created_at),
            "robustness": robustness(metrics, row.variant, others),
        }
    )


def spec_text(connection: sa.Connection, result_id: str, agent_id: str) -> str:
    """The spec of the job behind a result.

    Raises:
        NotFound: The result does not exist.
    """
    return job_spec(connection, result_row(connection, result_id, agent_id, ("job_id",)).job_id)


def metrics(connection: sa.Connection, result_id: str, agent_id: str) -> MetricsResponse:
    """Every metric."""
    row = result_row(connection, result_id, agent_id, ("metrics",))
    return MetricsResponse.model_validate({**json.loads(row.metrics), "result_id": result_id})


def per_ticker(connection: sa.Connection, request: PageRequest, agent_id: str) -> PerTickerResponse:
    """A page of the tickers, best first."""
    row = result_row(connection, request.result_id, agent_id, ("tickers",))
    rows: list[dict[str, Any]] = json.loads(row.tickers)
    page = rows[request.offset : request.offset + request.limit]
    return PerTickerResponse(
        result_id=request.result_id,
        tickers=[TickerPerformance.model_validate(each) for each in page],
        total=len(rows),
        next_offset=_next(request.offset, len(page), len(rows)),
    )


def trades(connection: sa.Connection, request: TradesRequest, agent_id: str) -> TradesResponse:
    """A page of the requested trades, in the requested order."""
    row = result_row(connection, request.result_id, agent_id, ("trades", "trade_labels"))
    table, labels = read_trades(row.trades), Labels.from_json(row.trade_labels)
    found = chosen_trades(table, labels, request)
    numbers = found[request.offset : request.offset + request.limit].tolist()
    return TradesResponse(
        result_id=request.result_id,
        trades=[Trade.model_validate(trade_row(table, number, labels)) for number in numbers],
        total=len(found),
        next_offset=_next(request.offset, len(numbers), len(found)),
    )


def chosen_trades(table: Table, labels: Labels, request: TradesRequest) -> NDArray[np.int64]:
    """Rows of the matching trades in the requested order; ties in the order in which they closed.

    Raises:
        InvalidInput: The ticker is not one of the result's.
    """
    column = {name: table[:, number] for number, name in enumerate(TRADE_COLUMNS)}
    wanted = np.ones(len(table), dtype=np.bool_)
    if request.start_date is not None:
        wanted &= column["entry_time"] >= _midnight(request.start_date)
    if request.end_date is not None:
        wanted &= column["entry_time"] < _midnight(request.end_date) + 86_400
    if request.side is not None:
        wanted &= (column["side"] > 0) == (request.side == "long")
    if request.ticker is not None:
        ticker = resolve(request.ticker, resolve(labels.tickers[0]).exchange).ticker
        if ticker not in labels.tickers:
            raise InvalidInput(
                f"ticker {show(ticker)} is not in the result", suggestion=f"It has {', '.join(labels.tickers)}"
            )
        wanted &= column["ticker"] == labels.tickers.index(ticker)
    keys = {
        "exit": np.arange(len(table)),
        "entry": column["entry_time"],
        "best": -column["pnl"],
        "worst": column["pnl"],
        "longest": -column["bars_held"],
    }
    rows = np.flatnonzero(wanted)
    return rows[np.argsort(keys[request.sort][rows], kind="stable")]


def _midnight(day: date) -> float:
    return datetime.combine(day, time(), UTC).timestamp()


def equity(connection: sa.Connection, request: EquityRequest, agent_id: str) -> EquityResponse:
    """The curve in few points, or a page of every bar."""
    row = result_row(connection, request.result_id, agent_id, ("equity", "trade_labels", "summary"))
    labels = Labels.from_json(row.trade_labels)
    curve, times = read_curve(row.equity, labels), closing_times(labels)
    summary: dict[str, Any] = json.loads(row.summary)
    peak = np.maximum.accumulate(np.maximum(curve, summary["assumptions"]["initial_cash"]))
    drawdown = curve / peak - 1.0
    thinned = request.resolution == "thinned"
    if thinned:
        chosen = _thinned(curve, drawdown, request.limit)
    else:
        chosen = np.arange(request.offset, min(request.offset + request.limit, len(curve)))
    return EquityResponse(
        result_id=request.result_id,
        timeframe=summary["timeframe"],
        points=[
            EquityPoint(time=iso8601(at), equity=value, drawdown=fall)
            for at, value, fall in zip(
                times[chosen].tolist(), curve[chosen].tolist(), drawdown[chosen].tolist(), strict=True
            )
        ],
        total=len(curve),
        thinned=len(chosen) < len(curve) if thinned else False,
        next_offset=None if thinned else _next(request.offset, len(chosen), len(curve)),
    )


def analysis(connection: sa.Connection, result_id: str, agent_id: str) -> AnalysisResponse:
    """The analysis of a result, with the current state of the search behind it."""
    row = result_row(connection, result_id, agent_id, (*_EVERYTHING, "analysis"))
    others = tried(connection, _search(row))
    luck = robustness(json.loads(row.metrics), row.variant, others)
    return AnalysisResponse.model_validate({**told(json.loads(row.analysis), luck), "result_id": result_id})


def recent(connection: sa.Connection, limit: int, agent_id: str) -> RecentResponse:
    """The newest results."""
    found = recent_results(connection, agent_id, limit)
    return RecentResponse(
        results=[
            RecentResult.model_validate(
                {name: value for name, value in json.loads(row.summary).items() if name in RecentResult.model_fields}
                | {"result_id": row.id, "created_at": iso8601(row.created_at)}
            )
            for row in found
        ]
    )


def _search(row: Any) -> SearchRuns:
    return SearchRuns(row.agent_id, row.market, row.start, row.end, row.bar_seconds, row.experiment)


def result_row(connection: sa.Connection, result_id: str, agent_id: str, columns: tuple[str, ...]) -> Any:
    """Chosen columns of a result of this agent.

    Raises:
        NotFound: The result does not exist.
    """
    row = find_result(connection, result_id, agent_id, columns)
    if row is None:
        what = "is a backtest_id" if result_id.startswith("bt_") else "does not exist among your results"
        raise NotFound(
            f"result_id {show(result_id)} {what}",
            suggestion="Take result_id from backtest_status once the job is completed",
            code="BACKTEST_NOT_FOUND",
        )
    return row


def _next(offset: int, shown: int, total: int) -> int | None:
    return offset + shown if shown and offset + shown < total else None


def _thinned(curve: Floats, drawdown: Floats, limit: int) -> Any:
    """Evenly spaced bars with the first and the last, the highest, and the deepest fall among them."""
    if len(curve) <= limit:
        return np.arange(len(curve))
    extremes = [np.argmax(curve), np.argmin(drawdown)] if limit > 4 else []
    even = np.linspace(0, len(curve) - 1, limit - len(extremes)).astype(np.int64)
    return np.unique(np.concatenate((even, np.array(extremes, dtype=np.int64))))
