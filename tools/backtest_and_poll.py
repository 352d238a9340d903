"""Runs a backtest to its verdict in one call, or returns a handle before the client's time-out.

The job runs on the service: a cancelled call, a lost connection or a time-out here does not end it.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, cast

import anyio
from pydantic import Field, GetJsonSchemaHandler, ValidationError, WithJsonSchema, model_validator
from pydantic_core import CoreSchema

from api.backtest_results import (
    Assumptions,
    BuyAndHold,
    Diagnostic,
    JobStatus,
    KeyMetrics,
    Robustness,
    ScriptCheckResponse,
    StatusResponse,
    Trade,
)
from api.backtests import (
    BACKTEST_EXECUTE,
    BACKTEST_RESULTS,
    BACKTEST_STATUS,
    BACKTEST_TRADES,
    SCRIPT_CHECK,
    BacktestRequest,
    ExecuteRequest,
    ResultRequest,
    ScriptCheckRequest,
    TradesRequest,
)
from api.errors import InvalidInput
from api.inputs import Identifier, Request, Whole, reject
from api.outputs import Response
from api.refusals import refuse

from .context import ToolContext
from .declaration import Operation

MAX_WAIT: Final = 45
SHOWN_TRADES: Final = 3
_PAUSES: Final = (0.02, 0.03, 0.05, 0.05, 0.1, 0.1, 0.2, 0.25, 0.5)
_LONGEST_PAUSE: Final = 1.0
_HIDDEN: Final = ("exchange", "description")
_OPEN: Final = ("queued", "running")


class PollRequest(Request):
    """A new backtest, or one that is under way.

    `exchange` and `description` are accepted but not shown: the universe names the exchange.
    """

    backtest_id: Identifier | None = Field(None, description="Keep waiting.")
    wait_seconds: Annotated[Whole, Field(ge=1, le=MAX_WAIT), WithJsonSchema({"type": "integer"})] = Field(
        MAX_WAIT, description="1-45."
    )
    job: ExecuteRequest | None = Field(None, description="New backtest.")

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, given: Any) -> Any:
        """The terms of a new backtest are arguments beside the others; they are exactly those of backtest_execute."""
        if not isinstance(given, dict):
            return given
        fields = cast("dict[str, Any]", given)
        own = {name: fields[name] for name in ("backtest_id", "wait_seconds") if name in fields}
        terms = {name: value for name, value in fields.items() if name not in own}
        if "script" in terms:
            terms = {"strategy_type": "signal", **terms}
        if own.get("backtest_id") is None:
            return {**own, "job": _new_job(terms)}
        if terms:
            raise reject(
                f"backtest_id names an existing job, so {', '.join(terms)} would change nothing",
                "Give backtest_id alone, or leave it out to start a new backtest.",
            )
        return own

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Show the terms of a new backtest flat; which of them are required depends on backtest_id."""
        schema = handler.resolve_ref_schema(handler(core))
        own = schema.pop("properties")
        own.pop("job")
        terms = {n: p for n, p in ExecuteRequest.model_json_schema()["properties"].items() if n not in _HIDDEN}
        return {**schema, "properties": {**terms, **own}}


def _new_job(terms: dict[str, Any]) -> ExecuteRequest:
    """The terms as backtest_execute reads them; what is wrong is told in the words of its arguments."""
    try:
        return ExecuteRequest.model_validate(terms)
    except ValidationError as error:
        refusal = refuse("backtest_and_poll", ExecuteRequest, error, terms)
        corrected = f" Try: {refusal.corrected}" if refusal.corrected else ""
        raise reject(refusal.message, f"{refusal.suggestion}{corrected}".strip(), complete=True) from None


class BacktestState(Response):
    """The state of a backtest, and its verdict if it has ended."""

    status: JobStatus = Field(description="Queued and running jobs continue without you.")
    backtest_id: str | None = Field(None, description="Call again with this to keep waiting.")
    result_id: str | None = Field(None, description="What the results tools take.")
    progress: float | None = Field(None, description="Done, as a fraction 0 to 1.")
    message: str | None = Field(None, description="Why it failed or was cancelled.")
    metrics: KeyMetrics | None = Field(None, description="The key figures.")
    buy_and_hold: BuyAndHold | None = Field(None, description="What doing nothing would have made.")
    robustness: Robustness | None = Field(None, description="Variants tried and the deflated Sharpe ratio.")
    warnings: list[str] = Field(default_factory=list, description="Reasons to doubt it.")
    best_trades: list[Trade] | None = Field(None, description="The three most profitable.")
    worst_trades: list[Trade] | None = Field(None, description="The three least profitable.")
    assumptions: Assumptions | None = Field(None, description="All that was used, defaults included.")
    resources: list[str] = Field(default_factory=list, description="The full result, to read when needed.")
    next_step: str | None = Field(None, description="What to call next.")


async def run(context: ToolContext, request: PollRequest) -> BacktestState:
    """Check the script, run it, wait, and summarise.

    Raises:
        InvalidInput: The script has errors; the message holds all of them.
    """
    deadline = anyio.current_time() + request.wait_seconds
    doubts: list[str] = []
    backtest_id = request.backtest_id
    if request.job is not None:
        doubts += await _remarks(context, request.job)
        started = await context.client.call(BACKTEST_EXECUTE, request.job)
        backtest_id = started.backtest_id
        doubts = [*started.warnings, *doubts]
    if backtest_id is None:
        raise InvalidInput("neither a backtest_id nor a new backtest was given")
    status = await _wait(context, backtest_id, deadline)
    if status.result_id is not None and status.status == "completed":
        return await _verdict(context, backtest_id, status.result_id, doubts)
    return _unfinished(status, backtest_id, doubts)


async def _remarks(context: ToolContext, job: ExecuteRequest) -> list[str]:
    """Ask the linter first: errors end the call. The hosted service's language may differ, so there they only warn.

    On the embedded engine the linter's warnings come with the result.
    """
    if job.script is None or job.strategy_type != "signal":
        return []
    request = ScriptCheckRequest(
        script=job.script,
        universe=job.universe,
        exchange=job.exchange,
        timeframe=job.timeframe,
        mode=job.mode,
        start_date=job.start_date,
        end_date=job.end_date,
        leverage=job.leverage,
    )
    client = await context.engine_client()
    checked = await client.call(SCRIPT_CHECK, request)
    if context.client.source == "hosted":
        return [f"Line {d.line}: {d.message}. {d.suggestion or ''}".rstrip() for d in checked.diagnostics]
    if checked.valid:
        return []
    errors = [d for d in checked.diagnostics if d.severity == "error"]
    raise InvalidInput(
        f"the script has {len(errors)} error{'' if len(errors) == 1 else 's'}\n" + "\n".join(_told(d) for d in errors),
        suggestion=f"This would pass:\n{checked.fixed_script}"
        if checked.fixed_script
        else "Fix every line named above",
    )


def _told(d: Diagnostic) -> str:
    """One error with its position, its line and carets, and the fix."""
    return f"line {d.line}, column {d.column}: {d.message}. {d.suggestion or ''}\n{d.excerpt or ''}"


async def _wait(context: ToolContext, backtest_id: str, deadline: float) -> StatusResponse:
    """Poll the job until it ends or the time is up, and report each poll to the caller."""
    shown = 0.0
    for number in range(10_000):
        status = await context.client.call(BACKTEST_STATUS, BacktestRequest(backtest_id=backtest_id))
        pause = _PAUSES[number] if number < len(_PAUSES) else _LONGEST_PAUSE
        if status.status not in _OPEN or anyio.current_time() + pause > deadline:
            return status
        shown = max(shown + 0.001, 100.0 * (status.progress or 0.0))
        await context.progress(shown, 100.0, f"backtest {status.status}: {status.message or 'waiting'}")
        await anyio.sleep(pause)
    raise AssertionError("the deadline passes long before")


async def _verdict(context: ToolContext, backtest_id: str, result_id: str, doubts: list[str]) -> BacktestState:
    found = await context.client.call(BACKTEST_RESULTS, ResultRequest(result_id=result_id))
    best, worst = found.best_trades, found.worst_trades
    if best is None or worst is None:
        best, worst = await _extremes(context, result_id)
    return BacktestState.model_validate(
        {
            "status": "completed",
            "backtest_id": backtest_id,
            "result_id": result_id,
            "metrics": found.metrics.model_dump(include=set(KeyMetrics.model_fields)),
            "buy_and_hold": found.buy_and_hold,
            "robustness": found.robustness,
            "warnings": list(dict.fromkeys([*doubts, *found.warnings])),
            "best_trades": best,
            "worst_trades": worst,
            "assumptions": found.assumptions,
            "resources": [f"heytraders://backtests/{result_id}/{part}" for part in _PARTS],
            "next_step": f"backtest_analysis(result_id={result_id!r}) says what drove it and how far to trust it",
        }
    )


_PARTS: Final = ("summary", "trades.csv", "trades.json", "equity", "script")


async def _extremes(context: ToolContext, result_id: str) -> tuple[list[Trade], list[Trade]]:
    """The best and the worst trades, taken from the first page of trades if the results do not name them."""
    page = await context.client.call(
        BACKTEST_TRADES, TradesRequest.model_validate({"result_id": result_id, "limit": 1000})
    )
    ranked = sorted((t for t in page.trades if t.pnl is not None), key=lambda t: t.pnl or 0.0, reverse=True)
    return ranked[:SHOWN_TRADES], ranked[::-1][:SHOWN_TRADES]


def _unfinished(status: StatusResponse, backtest_id: str, doubts: list[str]) -> BacktestState:
    waits = (
        f"It continues by itself. backtest_and_poll(backtest_id={backtest_id!r}) keeps waiting; backtest_cancel "
        "ends it."
    )
    return BacktestState.model_validate(
        {
            "status": status.status,
            "backtest_id": backtest_id,
            "progress": status.progress,
            "message": status.message,
            "warnings": doubts,
            "next_step": waits if status.status in _OPEN else None,
        }
    )


OPERATION: Final = Operation(PollRequest, BacktestState, run)


async def check(context: ToolContext, request: ScriptCheckRequest) -> ScriptCheckResponse:
    """Every remark on the script by the engine's own linter. A wrong script is an answer, not a failure."""
    client = await context.engine_client()
    return await client.call(SCRIPT_CHECK, request)


CHECK: Final = Operation(ScriptCheckRequest, ScriptCheckResponse, check)
