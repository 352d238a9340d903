"""Sweeps and portfolios: each starts a job on the engine and waits for its result, or returns a handle."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeVar, cast

import anyio
from pydantic import Field, GetJsonSchemaHandler, ValidationError, WithJsonSchema, model_validator
from pydantic_core import CoreSchema

from api.backtest_results import StatusResponse
from api.backtests import BACKTEST_RESULTS, BACKTEST_STATUS, BacktestRequest, ResultRequest
from api.endpoint import Endpoint, RequestT
from api.errors import InvalidInput, Unavailable
from api.inputs import Identifier, Request, Whole, reject
from api.refusals import refuse
from api.research import (
    BACKTEST_CHART,
    BACKTEST_PORTFOLIO,
    BACKTEST_SWEEP,
    BACKTEST_SWEEP_STATUS,
    ChartRequest,
    PortfolioRequest,
    PortfolioResponse,
    SweepIdRequest,
    SweepRequest,
    SweepResponse,
)

from .context import ToolContext
from .declaration import Operation

FollowedT = TypeVar("FollowedT", SweepResponse, StatusResponse)

MAX_WAIT: Final = 45
_PAUSES: Final = 0.05, 1.0
"""Shortest and longest seconds between two looks at a job. A look comes at most a thirtieth of the job's time late."""
_SHOWN: Final = (
    "script",
    "universe",
    "start_date",
    "end_date",
    "timeframe",
    "grid",
    "search",
    "max_variants",
    "objective",
    "walk_forward",
    "top",
)


class SweepCall(Request):
    """A new sweep, or one that is under way. The other terms of backtest_execute are accepted too."""

    sweep_id: Identifier | None = Field(None, description="Alone: keep waiting.")
    wait_seconds: Annotated[Whole, Field(ge=1, le=MAX_WAIT), WithJsonSchema({"type": "integer"})] = MAX_WAIT
    chart: bool = Field(default=False, description="Also a picture.")
    job: SweepRequest | None = None

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, given: Any) -> Any:
        """The terms of a new sweep are arguments of their own, beside the others."""
        if not isinstance(given, dict):
            return given
        fields = cast("dict[str, Any]", given)
        own = {name: fields[name] for name in ("sweep_id", "wait_seconds", "chart") if name in fields}
        terms = {name: value for name, value in fields.items() if name not in own}
        if own.get("sweep_id") is None:
            return {**own, "job": _new("backtest_sweep", SweepRequest, terms)}
        if terms:
            raise reject(
                f"sweep_id names an existing sweep, so {', '.join(terms)} would change nothing",
                "Give sweep_id alone, or leave it out to start a new sweep.",
            )
        return own

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Show the terms of a new sweep flat."""
        schema = handler.resolve_ref_schema(handler(core))
        own = schema.pop("properties")
        terms = SweepRequest.model_json_schema()["properties"]
        return {
            **schema,
            "properties": {**{n: terms[n] for n in _SHOWN}, "chart": own["chart"], "sweep_id": own["sweep_id"]},
        }


def _new(tool: str, model: type[RequestT], terms: dict[str, Any]) -> RequestT:
    try:
        return model.model_validate(terms)
    except ValidationError as error:
        refusal = refuse(tool, model, error, terms)
        corrected = f" Try: {refusal.corrected}" if refusal.corrected else ""
        raise reject(refusal.message, f"{refusal.suggestion}{corrected}".strip(), complete=True) from None


async def run(context: ToolContext, request: SweepCall) -> SweepResponse:
    """Start, wait, and return the findings."""
    if context.client.source == "hosted":
        raise Unavailable(
            "the hosted service has no sweeps",
            suggestion="Run the script's variants with backtest_and_poll, or use the embedded engine without a key",
        )
    deadline = anyio.current_time() + request.wait_seconds
    sweep_id, warnings, memory = request.sweep_id or "", list[str](), None
    if request.job is not None:
        started = await context.client.call(BACKTEST_SWEEP, request.job)
        sweep_id, warnings, memory = started.sweep_id, started.warnings, started.memory_mb
        await context.progress(0.0, 100.0, f"{started.variants} variants, at most {memory} MB of memory")
    found = await _follow(context, BACKTEST_SWEEP_STATUS, SweepIdRequest(sweep_id=sweep_id), deadline, "sweep")
    if found.status in ("queued", "running"):
        return found.model_copy(
            update={
                "message": f"It continues by itself. backtest_sweep(sweep_id={sweep_id!r}) keeps waiting; "
                f"backtest_cancel(backtest_id={sweep_id!r}) ends it.",
                "memory_mb": memory,
                "warnings": warnings,
            }
        )
    found = found.model_copy(update={"warnings": list(dict.fromkeys([*warnings, *found.warnings]))})
    if request.chart and found.status == "completed":
        terms = ChartRequest.model_validate({"result_id": sweep_id, "kind": "heatmap"})
        try:
            return found.model_copy(update={"picture": await context.client.call(BACKTEST_CHART, terms)})
        except InvalidInput as error:  # the findings matter more than their picture
            return found.model_copy(update={"warnings": [*found.warnings, f"No picture: {error.message}."]})
    return found


async def _follow(
    context: ToolContext, endpoint: Endpoint[RequestT, FollowedT], request: RequestT, deadline: float, what: str
) -> FollowedT:
    """Poll a job until it has ended or the time is up."""
    shown, begun = 0.0, anyio.current_time()
    while True:
        found = await context.client.call(endpoint, request)
        pause = min(max(_PAUSES[0], (anyio.current_time() - begun) / 30.0), _PAUSES[1])
        if found.status not in ("queued", "running") or anyio.current_time() + pause > deadline:
            return found
        shown = max(shown + 0.001, 100.0 * (found.progress or 0.0))
        await context.progress(shown, 100.0, f"{what} {found.status}: {found.message or 'waiting'}")
        await anyio.sleep(pause)


class PortfolioCall(Request):
    """A new portfolio, or one that is under way."""

    backtest_id: Identifier | None = Field(None, description="Alone: keep waiting.")
    wait_seconds: Annotated[Whole, Field(ge=1, le=MAX_WAIT), WithJsonSchema({"type": "integer"})] = MAX_WAIT
    chart: bool = Field(default=False, description="Also a picture.")
    job: PortfolioRequest | None = None

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, given: Any) -> Any:
        """The terms of a new portfolio are arguments of their own, beside the others."""
        if not isinstance(given, dict):
            return given
        fields = cast("dict[str, Any]", given)
        own = {name: fields[name] for name in ("backtest_id", "wait_seconds", "chart") if name in fields}
        terms = {name: value for name, value in fields.items() if name not in own}
        if own.get("backtest_id") is None:
            return {**own, "job": _new("backtest_portfolio", PortfolioRequest, terms)}
        if terms:
            raise reject(
                f"backtest_id names an existing portfolio, so {', '.join(terms)} would change nothing",
                "Give backtest_id alone, or leave it out to start a new one.",
            )
        return own

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Show the terms of a new portfolio flat."""
        schema = handler.resolve_ref_schema(handler(core))
        own = schema.pop("properties")
        terms = PortfolioRequest.model_json_schema()["properties"]
        shown = {name: terms[name] for name in ("result_ids", "weights", "rebalance", "initial_cash")}
        return {**schema, "properties": {**shown, "chart": own["chart"], "backtest_id": own["backtest_id"]}}


async def run_portfolio(context: ToolContext, request: PortfolioCall) -> PortfolioResponse:
    """Start, wait, and return the books and the total."""
    if context.client.source == "hosted":
        raise Unavailable(
            "the hosted service has no portfolios",
            suggestion="Use the embedded engine without a key, or backtest_compare with weights of your own",
        )
    deadline = anyio.current_time() + request.wait_seconds
    job_id, warnings = request.backtest_id or "", list[str]()
    if request.job is not None:
        started = await context.client.call(BACKTEST_PORTFOLIO, request.job)
        job_id, warnings = started.backtest_id, started.warnings
    found = await _follow(context, BACKTEST_STATUS, BacktestRequest(backtest_id=job_id), deadline, "portfolio")
    state: dict[str, Any] = {
        "backtest_id": job_id,
        "status": found.status,
        "progress": found.progress,
        "message": found.message,
        "warnings": warnings,
    }
    if found.status in ("queued", "running"):
        state["message"] = f"It continues by itself. backtest_portfolio(backtest_id={job_id!r}) keeps waiting."
    if found.result_id is None:
        return PortfolioResponse.model_validate(state)
    result = await context.client.call(BACKTEST_RESULTS, ResultRequest(result_id=found.result_id))
    picture = None
    if request.chart:
        terms = ChartRequest.model_validate({"result_id": found.result_id, "kind": "allocation"})
        picture = await context.client.call(BACKTEST_CHART, terms)
    told = {
        "result_id": found.result_id,
        "warnings": list(dict.fromkeys([*warnings, *result.warnings])),
        "picture": picture,
    }
    return PortfolioResponse.model_validate({**state, **(result.portfolio or {}), **told})


OPERATION: Final = Operation(SweepCall, SweepResponse, run)
PORTFOLIO: Final = Operation(PortfolioCall, PortfolioResponse, run_portfolio)
