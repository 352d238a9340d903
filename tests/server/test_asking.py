"""Questions in the client's own dialog, in both protocol eras, and which answers count."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, cast

import anyio
import pytest
from mcp import Client
from mcp.client.session import ElicitationFnT
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INTERNAL_ERROR,
    CallToolResult,
    ElicitResult,
    ErrorData,
    InputRequiredResult,
    InputResponses,
)

from api.orders import PlaceRequest
from safety.face import Asking, DialogAnswer, GatedOrder
from safety.gate import Gate
from server.app import create_server
from server.backend import Backend
from server.settings import Settings
from tests.conftest import Era
from tests.dialogs import CANCELLED, DECLINED, NO, YES, Person

TOOL: Final = "place_with_confirmation"
ORDER: Final[dict[str, Any]] = {
    "account_id": "acc_1", "exchange": "binance", "symbol": "BTC/USDT", "side": "buy", "amount": "0.001",
}  # fmt: skip
INTENT: Final = "01JD0000000000000000000001"
QUESTION: Final = "Buy 0.001 BTC/USDT at the market on account acc_1?"


class Asker:
    """A gate that asks once for each call and reports the answer. It asks for `intent_id` with `question`."""

    def __init__(self) -> None:
        self.intent_id = INTENT
        self.question = QUESTION
        self.among_tasks = False
        self.answers: list[DialogAnswer] = []
        self.offered: list[bool] = []
        self.callers: list[str] = []

    @property
    def orders(self) -> Asker:
        """The part of a gate that a tool calls."""
        return self

    async def place_and_follow(
        self, request: PlaceRequest, tool: str, client: str, asking: Asking, wait_seconds: float
    ) -> GatedOrder:
        """Ask, and keep the answer."""
        self.offered.append(asking.available)
        self.callers.append(client)
        await asking.tell(1, wait_seconds, "waiting for a human")
        assert (tool, wait_seconds) == (TOOL, 45.0)
        if self.among_tasks:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.sleep, 10)
                self.answers.append(await asking.ask(self.intent_id, self.question))
                tasks.cancel_scope.cancel()
        else:
            self.answers.append(await asking.ask(self.intent_id, self.question))
        return GatedOrder(symbol=request.symbol, message=self.answers[-1])


Dialog = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def gate() -> Asker:
    """The interface through which the server asks."""
    return Asker()


@pytest.fixture
def dialog(era: Era, settings: Settings, gate: Asker) -> Dialog:
    """`async with dialog(callback) as client:` gives a client of a server with `gate`; `callback` answers questions."""

    class WithGate(Backend):
        async def client(self, *, runs_jobs: bool = False) -> Any:  # noqa: ARG002 - the name is the base class's
            return None

        async def safety(self) -> Gate:
            return cast("Gate", gate)

    @asynccontextmanager
    async def session(callback: ElicitationFnT | None = None) -> AsyncGenerator[Client]:
        async with anyio.create_task_group() as tasks:
            server = create_server(settings, WithGate(settings, tasks))
            async with Client(server, mode=era, cache=None, elicitation_callback=callback) as client:
                yield client

    return session


@pytest.mark.parametrize("among_tasks", [False, True])
async def test_the_question_is_shown_once_unchanged_with_one_field(
    dialog: Dialog, gate: Asker, among_tasks: bool
) -> None:
    gate.among_tasks = among_tasks
    person = Person(YES)
    async with dialog(person) as client:
        placed = await client.call_tool(TOOL, ORDER)

    [form] = person.shown
    assert form.message == QUESTION
    assert form.requested_schema["required"] == ["approve"]
    assert form.requested_schema["properties"]["approve"]["type"] == "boolean"
    assert placed.structured_content is not None
    assert placed.structured_content["message"] == "yes"
    assert gate.answers == ["yes"]


@pytest.mark.parametrize(
    ("reply", "counts_as"),
    [
        (YES, "yes"),
        (NO, "no"),
        (ElicitResult(action="accept", content={}), "not_asked"),
        (ElicitResult(action="accept"), "not_asked"),
        (ElicitResult(action="accept", content={"approve": "true"}), "not_asked"),
        (ElicitResult(action="accept", content={"approve": 1}), "not_asked"),
        (ElicitResult(action="accept", content={"approved": True}), "not_asked"),
        (DECLINED, "no"),
        (ElicitResult(action="decline", content={"approve": True}), "no"),
        (CANCELLED, "not_asked"),
    ],
    ids=str,
)
async def test_only_a_box_that_was_filled_in_is_an_answer(
    dialog: Dialog, gate: Asker, reply: ElicitResult, counts_as: DialogAnswer
) -> None:
    async with dialog(Person(reply)) as client:
        await client.call_tool(TOOL, ORDER)

    assert gate.answers == [counts_as]


async def test_a_client_without_a_dialog_is_not_asked(dialog: Dialog, gate: Asker) -> None:
    async with dialog() as client:
        await client.call_tool(TOOL, ORDER)

    assert gate.offered == [False]
    assert gate.answers == ["not_asked"]


async def test_a_dialog_that_fails_is_no_consent(dialog: Dialog, gate: Asker, era: Era) -> None:
    broken = Person(ErrorData(code=INTERNAL_ERROR, message="no window"))
    async with dialog(broken) as client:
        if era == "auto":
            with pytest.raises(MCPError, match="no window"):
                await client.call_tool(TOOL, ORDER)
        else:
            await client.call_tool(TOOL, ORDER)

    assert gate.answers == ([] if era == "auto" else ["not_asked"])


async def test_the_client_is_told_how_far_the_waiting_is_and_named_to_the_journal(dialog: Dialog, gate: Asker) -> None:
    heard: list[tuple[float, float | None, str | None]] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    async with dialog() as client:
        await client.call_tool(TOOL, ORDER, progress_callback=listen)

    assert heard == [(1, 45, "waiting for a human")]
    [caller] = gate.callers
    assert caller.startswith("mcp ")


@pytest.mark.parametrize("era", ["auto"])
class TestNewCalls:
    """The answer comes with a new call, from a client that cannot be trusted."""

    @staticmethod
    async def call(
        client: Client, arguments: dict[str, Any], answers: InputResponses | None = None, state: str | None = None
    ) -> CallToolResult | InputRequiredResult:
        """One call as sent on the wire."""
        return await client.session.call_tool(
            TOOL, arguments, input_responses=answers, request_state=state, allow_input_required=True
        )

    async def asked(self, client: Client, arguments: dict[str, Any]) -> str:
        """The sealed state of a question."""
        question = await self.call(client, arguments)
        assert isinstance(question, InputRequiredResult)
        assert question.request_state
        return question.request_state

    async def test_an_answer_without_its_question_is_asked_for_again(self, dialog: Dialog, gate: Asker) -> None:
        async with dialog(Person(YES)) as client:
            forged = await self.call(client, ORDER, {INTENT: YES})

        assert isinstance(forged, InputRequiredResult)
        assert gate.answers == []

    async def test_a_question_without_its_answer_is_asked_again(self, dialog: Dialog, gate: Asker) -> None:
        async with dialog(Person(YES)) as client:
            state = await self.asked(client, ORDER)
            silent = await self.call(client, ORDER, None, state)
            elsewhere = await self.call(client, ORDER, {"other": YES}, state)

        assert isinstance(silent, InputRequiredResult)
        assert isinstance(elsewhere, InputRequiredResult)
        assert gate.answers == []

    @pytest.mark.parametrize("changed", ["intent_id", "question"])
    async def test_an_answer_to_another_question_does_not_count(
        self, dialog: Dialog, gate: Asker, changed: str
    ) -> None:
        async with dialog(Person(YES)) as client:
            state = await self.asked(client, ORDER)
            setattr(gate, changed, "01JD0000000000000000000002")
            late = await self.call(client, ORDER, {INTENT: YES}, state)

        assert isinstance(late, InputRequiredResult)
        assert gate.answers == []

    @pytest.mark.parametrize("state", ["", "x", f"{INTENT}:0", "v1.AAAA"])
    async def test_a_state_that_the_server_did_not_seal_never_arrives(
        self, dialog: Dialog, gate: Asker, state: str
    ) -> None:
        async with dialog(Person(YES)) as client:
            with pytest.raises(MCPError):
                await self.call(client, ORDER, {INTENT: YES}, state)

        assert gate.offered == []

    async def test_an_answer_does_not_move_to_another_order(self, dialog: Dialog, gate: Asker) -> None:
        async with dialog(Person(YES)) as client:
            state = await self.asked(client, ORDER)
            with pytest.raises(MCPError):
                await self.call(client, {**ORDER, "amount": "1000"}, {INTENT: YES}, state)

        assert gate.answers == []
