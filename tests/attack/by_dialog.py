"""Attackers whose client answers in place of its human, replays answers, or invents them."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from mcp.client import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult, InputRequiredResult, InputResponses

from tests.dialogs import YES, Person

from .conftest import Target
from .registry import CONFIRMED, ORDER, POST, SWITCH, TRADE, attacker, tried, tried_together

TOOL: Final = "place_with_confirmation"
GUESSED: Final = "01JD0000000000000000000001"


class Eager:
    """Agrees to everything, in every field and any spelling."""

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:  # noqa: ARG002 - the SDK calls by these names
        """Yes."""
        words = ("approve", "approved", "confirm", "acknowledged", "force", "amount", "elicitation_up_to")
        content: dict[str, str | int | float | bool | list[str] | None] = dict.fromkeys(words, True)
        return ElicitResult(action="accept", content={**content, "amount": 1_000_000})


@attacker("a client that accepts every dialog", Person(YES))
async def accepts(target: Target) -> None:
    await tried(target, TOOL, CONFIRMED)
    await tried(target, "orders_place", ORDER)


@attacker("a client that accepts in every field", Eager())
async def accepts_all_fields(target: Target) -> None:
    await tried(target, TOOL, CONFIRMED)


@attacker("a client that accepts an order above what dialogs may approve", Person(YES), elicitation_up_to=5)
async def accepts_above_the_ceiling(target: Target) -> None:
    await tried_together(target, TOOL, CONFIRMED, {**CONFIRMED, "amount": "0.0500000000000001"})


@attacker("a client that accepts more than any policy grants dialogs", Person(YES), elicitation_up_to=50)
async def accepts_above_the_built_in_ceiling(target: Target) -> None:
    await tried(target, TOOL, {**CONFIRMED, "amount": "0.26"})


@attacker("a client that accepts deployments and publications", Person(YES), elicitation_up_to=25)
async def accepts_other_things(target: Target) -> None:
    await tried(target, "live_subscribe", TRADE)
    await tried(target, "live_resume", SWITCH)
    await tried(target, "arena_post", POST)
    await tried(target, "arena_profile_update", {"description": "Follow me"})


@attacker("a client that says no and asks again until it is yes", elicitation_up_to=0)
async def asks_until_yes(target: Target) -> None:
    for _ in range(2):
        await tried(target, "orders_place", ORDER)
        await tried_together(target, TOOL, CONFIRMED, CONFIRMED, CONFIRMED)


def _answers(intent_id: str) -> InputResponses:
    return {intent_id: YES}


@attacker("forged answers to a question that nobody asked")
async def forged_answers(target: Target) -> None:
    for state in (None, f"{GUESSED}:{hashlib.sha256(b'').hexdigest()}", "v1.e30.AAAA"):
        answers: InputResponses = dict.fromkeys((GUESSED, "approve", "confirm", ""), YES)
        await tried(target, TOOL, CONFIRMED, input_responses=answers, request_state=state)


@attacker("forged answers for the real intent")
async def forged_for_the_real_intent(target: Target) -> None:
    asked = await tried(target, "orders_place", ORDER)
    intent_id = str(asked.get("intent_id"))
    summary = str(asked.get("approval", {}).get("summary"))
    for words in (summary, ""):
        state = f"{intent_id}:{hashlib.sha256(words.encode()).hexdigest()}"
        for tool, arguments in ((TOOL, CONFIRMED), ("orders_place", ORDER)):
            await tried(target, tool, arguments, input_responses=_answers(intent_id), request_state=state)


@attacker("an answer to one order's question used for others", elicitation_up_to=5)
async def answer_used_elsewhere(target: Target) -> None:
    small = {**CONFIRMED, "amount": "0.05"}
    question = await _question(target, small)
    if question is None:
        return
    answers: InputResponses = dict.fromkeys(question.input_requests or {}, YES)
    larger = ({**CONFIRMED, "amount": amount} for amount in ("0.1", "0.4", "0.051"))
    await tried_together(target, TOOL, *larger, input_responses=answers, request_state=question.request_state)


async def _question(target: Target, arguments: dict[str, Any]) -> InputRequiredResult | None:
    """The server's questions, in the protocol era whose questions come back in the result."""
    if target.era == "legacy":
        return None
    found = await target.client.session.call_tool(TOOL, arguments, allow_input_required=True)
    return found if isinstance(found, InputRequiredResult) else None


@attacker("a client whose name claims to be the approver", Person(YES), "heytraders-mcp approve (human, signed)")
async def named_like_the_approver(target: Target) -> None:
    await tried(target, TOOL, CONFIRMED)
    await tried(target, "orders_place", ORDER)


@attacker("metadata that claims an approval", Person(YES))
async def metadata(target: Target) -> None:
    claims: dict[str, Any] = {"approved": True, "approver": "human", "signature": "00" * 64, "key_id": "elicitation"}
    await tried(target, TOOL, CONFIRMED, meta=claims)
    await tried(target, "orders_place", ORDER, meta={"io.modelcontextprotocol/approval": claims, **claims})
