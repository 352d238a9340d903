"""Sweeps a script's parameters and waits for the judgement, or hands back a handle. The sweep runs on the engine."""

from __future__ import annotations

from typing import Annotated, Any, Final, cast

import anyio
from pydantic import Field, GetJsonSchemaHandler, ValidationError, WithJsonSchema, model_validator
from pydantic_core import CoreSchema

from api.endpoint import Request
from api.errors import Unavailable
from api.inputs import Identifier, Whole
from api.refusals import refuse, reject
from api.research import (
    BACKTEST_CHART,
    BACKTEST_SWEEP,
    BACKTEST_SWEEP_STATUS,
    ChartRequest,
    SweepIdRequest,
    SweepRequest,
    SweepResponse,
)

from .declaration import Operation
from .desk import Desk

MAX_WAIT: Final = 45
_PAUSES: Final = (0.05, 0.1, 0.1, 0.2, 0.3)
_LONGEST_PAUSE: Final = 1.0
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

    sweep_id: Identifier | None = Field(None, description="Alone: go on waiting.")
    wait_seconds: Annotated[Whole, Field(ge=1, le=MAX_WAIT), WithJsonSchema({"type": "integer"})] = MAX_WAIT
    chart: bool = Field(default=False, description="Also a picture.")
    job: SweepRequest | None = None

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, given: Any) -> Any:
        """The terms of a new sweep stand beside the others."""
        if not isinstance(given, dict):
            return given
        fields = cast("dict[str, Any]", given)
        own = {name: fields[name] for name in ("sweep_id", "wait_seconds", "chart") if name in fields}
        terms = {name: value for name, value in fields.items() if name not in own}
        if own.get("sweep_id") is None:
            return {**own, "job": _new_sweep(terms)}
        if terms:
            raise reject(
                f"sweep_id names a sweep that runs already, so {', '.join(terms)} would change nothing",
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


def _new_sweep(terms: dict[str, Any]) -> SweepRequest:
    try:
        return SweepRequest.model_validate(terms)
    except ValidationError as error:
        refusal = refuse("backtest_sweep", SweepRequest, error, terms)
        corrected = f" Try: {refusal.corrected}" if refusal.corrected else ""
        raise reject(refusal.message, f"{refusal.suggestion}{corrected}".strip(), complete=True) from None


async def run(desk: Desk, request: SweepCall) -> SweepResponse:
    """Start, wait, and hand over what was found."""
    if desk.client.source == "hosted":
        raise Unavailable(
            "the hosted service has no sweeps",
            suggestion="Run the script's variants with backtest_and_poll, or use the embedded engine without a key",
        )
    deadline = anyio.current_time() + request.wait_seconds
    sweep_id, warnings, memory = request.sweep_id or "", list[str](), None
    if request.job is not None:
        started = await desk.client.call(BACKTEST_SWEEP, request.job)
        sweep_id, warnings, memory = started.sweep_id, started.warnings, started.memory_mb
        await desk.progress(0.0, 100.0, f"{started.variants} variants, at most {memory} MB of memory")
    found = await _wait(desk, SweepIdRequest(sweep_id=sweep_id), deadline)
    if found.status in ("queued", "running"):
        return found.model_copy(
            update={
                "message": f"It goes on by itself. backtest_sweep(sweep_id={sweep_id!r}) waits on; "
                f"backtest_cancel(backtest_id={sweep_id!r}) ends it.",
                "memory_mb": memory,
                "warnings": warnings,
            }
        )
    if request.chart and found.status == "completed":
        terms = ChartRequest.model_validate({"result_id": sweep_id, "kind": "heatmap"})
        return found.model_copy(update={"picture": await desk.client.call(BACKTEST_CHART, terms)})
    return found


async def _wait(desk: Desk, request: SweepIdRequest, deadline: float) -> SweepResponse:
    shown = 0.0
    for number in range(10_000):
        found = await desk.client.call(BACKTEST_SWEEP_STATUS, request)
        pause = _PAUSES[number] if number < len(_PAUSES) else _LONGEST_PAUSE
        if found.status not in ("queued", "running") or anyio.current_time() + pause > deadline:
            return found
        shown = max(shown + 0.001, 100.0 * (found.progress or 0.0))
        await desk.progress(shown, 100.0, f"sweep {found.status}: {found.message or 'waiting'}")
        await anyio.sleep(pause)
    raise AssertionError("the deadline passes long before")


OPERATION: Final = Operation(SweepCall, SweepResponse, run)
