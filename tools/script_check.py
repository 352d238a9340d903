"""Checks a script with the embedded engine's linter, also where backtests run on the hosted service."""

from __future__ import annotations

from typing import Final

from api.backtest_results import ScriptCheckResponse
from api.backtests import SCRIPT_CHECK, ScriptCheckRequest

from .declaration import Operation
from .desk import Desk


async def check(desk: Desk, request: ScriptCheckRequest) -> ScriptCheckResponse:
    """Every remark on the script; a wrong script is an answer, not a failure."""
    client = await desk.engine_client()
    return await client.call(SCRIPT_CHECK, request)


OPERATION: Final = Operation(ScriptCheckRequest, ScriptCheckResponse, check)
