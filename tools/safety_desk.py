"""Reports the status of the safety layer, and pulls its kill switch. No tool can release the switch."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from api.errors import clean
from api.inputs import Identifier, Request
from safety.face import Halted, IntentReport, SafetyStatus

from .declaration import Operation
from .desk import Desk

NO_REASON: Final = "no reason was given"
MAX_REASON: Final = 300
"""Maximum characters of a reason."""


class IntentRequest(Request):
    """Which intent."""

    intent_id: Identifier = Field(description="From the call that returned it.")


class StatusRequest(Request):
    """Nothing to say."""


def _reason(value: object) -> str:
    """The reason in readable form. Nothing in its wording can cause a halt to be refused."""
    return clean(str(value), MAX_REASON) or NO_REASON


class HaltRequest(Request):
    """Why."""

    reason: Annotated[str, BeforeValidator(_reason)] = Field(
        default=NO_REASON, description="What is wrong, for the user to read."
    )


async def look(desk: Desk, request: IntentRequest) -> IntentReport:
    """The fate of the intent."""
    gate = await desk.safety()
    return await gate.reports.intent(request.intent_id)


async def status(desk: Desk, _request: StatusRequest) -> SafetyStatus:
    """The status."""
    gate = await desk.safety()
    return await gate.reports.status()


async def halt(desk: Desk, request: HaltRequest) -> Halted:
    """Stop everything."""
    gate = await desk.safety()
    return await gate.kill_switch.halt(request.reason, f"safety_halt {desk.caller}".strip())


INTENT: Final = Operation(IntentRequest, IntentReport, look)
STATUS: Final = Operation(StatusRequest, SafetyStatus, status)
HALT: Final = Operation(HaltRequest, Halted, halt)
