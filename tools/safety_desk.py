"""Asks the safety layer how things stand, and pulls its kill switch. Releasing it is nothing that a tool can do."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from api.endpoint import Request
from api.inputs import Identifier, Text
from safety.face import Halted, IntentReport, SafetyStatus

from .declaration import Operation
from .desk import Desk


class IntentRequest(Request):
    """Which intent."""

    intent_id: Identifier = Field(description="From the call that returned it.")


class StatusRequest(Request):
    """Nothing to say."""


class HaltRequest(Request):
    """Why."""

    reason: Text = Field(min_length=1, max_length=200, description="What is wrong, for the user to read.")


async def look(desk: Desk, request: IntentRequest) -> IntentReport:
    """What became of it."""
    gate = await desk.safety()
    return await gate.intent(request.intent_id)


async def status(desk: Desk, _request: StatusRequest) -> SafetyStatus:
    """How things stand."""
    gate = await desk.safety()
    return await gate.status()


async def halt(desk: Desk, request: HaltRequest) -> Halted:
    """Stop everything."""
    gate = await desk.safety()
    return await gate.halt(request.reason, f"safety_halt {desk.caller}".strip())


INTENT: Final = Operation(IntentRequest, IntentReport, look)
STATUS: Final = Operation(StatusRequest, SafetyStatus, status)
HALT: Final = Operation(HaltRequest, Halted, halt)
