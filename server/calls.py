"""Runs tool calls like the SDK, but strictly: exact arguments in, the model's JSON out, one sentence on failure.

Every answer to a client is filtered here: secrets and hidden characters are removed, and foreign text is marked.

A call may ask its user a question in the client's dialog, in both protocol eras. Up to 2025-11-25 the question is a
separate request during the call. From 2026-07-28 the call ends with the question and is made again with the answer. In
both cases software may have answered, so the safety layer decides what an answer is worth.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import anyio
from mcp.server.elicitation import AcceptedElicitation, render_elicitation_schema
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase, FuncMetadata
from mcp.shared.exceptions import MCPError
from mcp.types import (
    CallToolResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    ImageContent,
    InputRequests,
    InputRequiredResult,
    TextContent,
    ToolAnnotations,
)
from mcp.types.version import is_version_at_least
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from api.errors import HeyTradersError, OutcomeUnknown, Unavailable, clean, explain
from api.times import CALL_ENDS
from safety.exits import redacted, redacted_value
from tools.declaration import Operation, ToolRow
from tools.snapshot import load

if TYPE_CHECKING:
    from mcp.server.mcpserver import Context

    from safety.face import DialogAnswer
    from tools.context import ToolContext


logger = logging.getLogger("heytraders.tools")

DEADLINE_SECONDS: Final = 45.0
"""Deadline for every tool, even if the service hangs. Many clients end a call after a minute."""
AFTER_WAITING: Final = 5.0

OpenContext = Callable[["Context[Any, Any]"], Awaitable["ToolContext"]]


class StrictTool(Tool):
    """A tool of the surface, as the SDK serves it.

    It uses the committed schemas. The request model, and with it the whole API, is imported at the first call.
    """

    _row: ToolRow = PrivateAttr()
    _operation: Operation[Any, Any] | None = PrivateAttr(default=None)
    _open_context: OpenContext = PrivateAttr()

    @classmethod
    def of(cls, row: ToolRow, open_context: OpenContext) -> StrictTool:
        """Serve `row`; `open_context` gives each call its dependencies."""
        tool = _described(row.name).model_copy()
        tool._row = row  # noqa: SLF001 - of its own class
        tool._open_context = open_context  # noqa: SLF001
        return tool

    async def run(
        self,
        arguments: dict[str, Any],
        context: Context[Any, Any],
        convert_result: bool = False,  # noqa: ARG002, FBT001, FBT002 - the SDK's signature
    ) -> CallToolResult | InputRequiredResult:
        """Validate, call and convert. Every failure becomes a result with `isError` that says what to do next.

        A call that must ask its user first ends with the question.
        """
        try:
            return success(await self._call(arguments, context))
        except HeyTradersError as error:
            logger.info("%s refused: %s", self.name, error.code)
            return failure(explain(error))
        except Exception:
            # A fault in our code becomes an answer; otherwise the client would wait for one.
            logger.exception("%s crashed", self.name)
            return failure(
                f"INTERNAL_ERROR: {self.name} hit an internal error; your arguments are not the cause. "
                "The server's log on stderr has the details. `heytraders-mcp doctor` checks the installation."
            )
        except (AskFirst, BaseExceptionGroup) as left:
            question = question_in(left)
            if question is None:
                raise
            return question

    async def _call(self, arguments: dict[str, Any], context: Context[Any, Any]) -> str:
        if self._operation is None:
            self._operation = self._row.operation()
        operation = self._operation
        given = self._without_blanks(arguments)
        try:
            request = operation.request.model_validate(given)
        except ValidationError as error:
            from api.refusals import refuse

            raise refuse(self.name, operation.request, error, given) from None
        # A tool with `wait_seconds` answers by itself shortly after that time.
        waits = "wait_seconds" in operation.request.model_fields
        with anyio.move_on_after(DEADLINE_SECONDS + (AFTER_WAITING if waits else 0.0)) as time:
            tool_context = await self._open_context(context)
            token = CALL_ENDS.set(time.deadline)
            try:
                response = await operation.run(tool_context, request)
            finally:
                CALL_ENDS.reset(token)
            return written(response, hosted=tool_context.mode.source == "hosted")
        raise self._too_slow()

    def _too_slow(self) -> HeyTradersError:
        """The error at the deadline."""
        message = f"{self.name} did not finish within {DEADLINE_SECONDS:g} s: the service is slow or does not answer"
        if self._row.hints.read_only:
            return Unavailable(message, suggestion="Nothing was changed. Call it again later; try meta_health first.")
        return OutcomeUnknown(
            f"{message}, and it may have taken effect",
            suggestion="Look before you repeat it: safety_status and order_intent show orders and deployments.",
        )

    def _without_blanks(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments without empty strings: clients that must fill in every argument write "" for omitted ones."""
        required = self.parameters.get("required", ())
        return {name: value for name, value in arguments.items() if value != "" or name in required}


@cache
def _described(name: str) -> StrictTool:
    """A tool as the surface describes it. The servers of a process take copies, which are not checked again."""
    definition = load(name)
    return StrictTool(
        fn=_unreachable,
        name=name,
        title=definition["title"],
        description=definition["description"],
        parameters=definition["inputSchema"],
        fn_metadata=FuncMetadata(arg_model=ArgModelBase, output_schema=definition["outputSchema"]),
        is_async=True,
        context_kwarg=None,
        annotations=ToolAnnotations.model_validate(definition["annotations"]),
    )


async def _unreachable() -> None:
    """The SDK requires a function; `run` never calls it."""
    raise NotImplementedError


ANSWER_COMES_WITH_A_NEW_CALL: Final = "2026-07-28"
MAX_CALLER: Final = 80
PATIENCE_SECONDS: Final = 45
"""Time limit for a dialog within a call, since many clients end a call after a minute."""


class Consent(BaseModel):
    """The form: one required box, so that accepting without looking does not count as an answer."""

    model_config = ConfigDict(strict=True)

    approve: bool = Field(title="Approve exactly this?", description="Yes approves it once. No declines it.")


class AskFirst(BaseException):
    """Ends the call with a question; the client makes the call again with the answer.

    Not an `Exception`: nothing has failed, and no error handler may catch it before it leaves the tool.
    """

    def __init__(self, question: InputRequiredResult) -> None:
        super().__init__("the client is asked first")
        self.question = question


class ClientAsking:
    """The dialog of the client that made this call."""

    def __init__(self, context: Context[Any, Any]) -> None:
        self._context = context

    @property
    def available(self) -> bool:
        """Whether the client declares that it can show a form, and can be reached."""
        capabilities = self._context.client_capabilities
        elicitation = capabilities.elicitation if capabilities else None
        if elicitation is None or (elicitation.form is None and elicitation.url is not None):
            return False
        return self._by_new_call or self._context.session.can_send_request

    async def ask(self, intent_id: str, question: str) -> DialogAnswer:
        """The answer: `yes` or `no` only if the box was filled in.

        Declining is a no, even by a program, since it can only stop the order. A closed dialog is `not_asked`.

        Raises:
            AskFirst: The answer comes with the next call.
        """
        if not self.available:
            return "not_asked"
        return self._brought(intent_id, question) if self._by_new_call else await self._live(question)

    async def tell(self, done: float, total: float, message: str) -> None:
        """Report the progress of the wait."""
        await self._context.report_progress(done, total, message)

    @property
    def _by_new_call(self) -> bool:
        version = self._context.protocol_version
        return version is not None and is_version_at_least(version, ANSWER_COMES_WITH_A_NEW_CALL)

    async def _live(self, question: str) -> DialogAnswer:
        with anyio.move_on_after(PATIENCE_SECONDS), suppress(MCPError, ValueError):
            result = await self._context.elicit(question, Consent)
            if result.action == "decline":
                return "no"
            return _word(result.data) if isinstance(result, AcceptedElicitation) else "not_asked"
        return "not_asked"

    def _brought(self, intent_id: str, question: str) -> DialogAnswer:
        """The answer that came with this call, if it answers this exact question about this intent.

        The SDK seals the state and binds it to the arguments, so a client can neither forge nor alter it. The ledger
        makes sure that it is used once: an intent is approved once.
        """
        asked = f"{intent_id}:{hashlib.sha256(question.encode()).hexdigest()}"
        answer = (self._context.input_responses or {}).get(intent_id)
        if self._context.request_state != asked or answer is None:
            form = ElicitRequestFormParams(message=question, requested_schema=render_elicitation_schema(Consent))
            requests: InputRequests = {intent_id: ElicitRequest(params=form)}
            raise AskFirst(InputRequiredResult(input_requests=requests, request_state=asked))
        if isinstance(answer, ElicitResult) and answer.action == "decline":
            return "no"
        if not isinstance(answer, ElicitResult) or answer.action != "accept":
            return "not_asked"
        try:
            return _word(Consent.model_validate(answer.content))
        except ValidationError:
            return "not_asked"


def question_in(error: BaseException) -> InputRequiredResult | None:
    """The question that ended a call, also if wrapped by the call's task groups."""
    if isinstance(error, AskFirst):
        return error.question
    if isinstance(error, BaseExceptionGroup):
        found = (question_in(each) for each in error.exceptions)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType, reportUnknownMemberType]
        return next((question for question in found if question), None)
    return None


def caller(context: Context[Any, Any]) -> str:
    """The client's name and version as it gave them, for the journal; "" when it did not say."""
    params = context.session.client_params
    if params is None:
        return ""
    return clean(f"{params.client_info.name} {params.client_info.version}", MAX_CALLER)


def _word(consent: Consent) -> DialogAnswer:
    return "yes" if consent.approve else "no"


PAGE_CHARACTERS: Final = 40_000
"""Maximum characters of a page's rows as JSON, about 15,000 tokens."""


def written(response: BaseModel, *, hosted: bool) -> str:
    """A result as JSON. Text from the hosted service is cleaned, and `foreign_text` names its fields."""
    text = _compact(response)
    if not hosted:
        return text
    from safety.exits import MARK, cleaned_value, foreign_fields

    value: dict[str, Any] = json.loads(text)
    safe = cleaned_value({name: inner for name, inner in value.items() if name != MARK})
    if safe != value:
        text = json.dumps(safe, ensure_ascii=False, separators=(",", ":"))
    foreign = foreign_fields(response)
    return f'{text[:-1]},"{MARK}":{json.dumps(foreign)}}}' if foreign else text


def _compact(response: BaseModel) -> str:
    """A response as compact JSON: columns named once per table, at most `PAGE_CHARACTERS` of rows, rounded ratios."""
    from api.outputs import tables_of, with_tables

    value = with_tables(response)
    for name in tables_of(type(response)):
        if name in value:
            _cut(value, value[name])
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _cut(page: dict[str, Any], table: dict[str, Any]) -> None:
    """Cut rows from the end of a page that is too long; the next page begins with them."""
    rows: list[Any] = table["rows"]
    length, fit = 0, 0
    while fit < len(rows) and length < PAGE_CHARACTERS:
        length += len(json.dumps(rows[fit], ensure_ascii=False, separators=(",", ":"))) + 1
        fit += 1
    left_out = len(rows) - fit
    if left_out and "total" in page:
        page["next_offset"] = page.get("next_offset", page["total"]) - left_out
        table["rows"] = rows[:fit]


def success(text: str) -> CallToolResult:
    """A result whose text is the same JSON as its structured content, without secrets. A picture follows it."""
    text, pictures = _without_pictures(text)
    safe = redacted(text)
    if safe != text:
        safe = json.dumps(redacted_value(json.loads(text)), ensure_ascii=False, separators=(",", ":"))
    return CallToolResult(content=[TextContent(type="text", text=safe), *pictures], structured_content=json.loads(safe))


def _without_pictures(text: str) -> tuple[str, list[ImageContent]]:
    """The result without its picture's bytes, and the picture as image content."""
    if '"picture":' not in text:
        return text, []
    value: dict[str, Any] = json.loads(text)
    picture: dict[str, Any] = value.get("picture") or {}
    data = picture.pop("data", None) if picture.get("format") == "png" else None
    if data is None:
        return text, []
    shown = ImageContent(type="image", data=data, mime_type="image/png")
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")), [shown]


def failure(text: str) -> CallToolResult:
    """A result that the model can act on, without secrets."""
    return CallToolResult(content=[TextContent(type="text", text=redacted(text))], is_error=True)


def shown_resource(found: ReadResourceContents, *, hosted: bool) -> ReadResourceContents:
    """The same for a resource. JSON of the hosted service names its foreign text as a result does."""
    if isinstance(found.content, bytes):
        return found
    from safety.exits import MARK, cleaned, cleaned_value, foreign_texts

    text = found.content
    if hosted and found.mime_type == "application/json":
        value: dict[str, Any] = json.loads(text)
        foreign = foreign_texts(value)
        shown = {**value, MARK: foreign} if foreign else value
        text = json.dumps(cleaned_value(shown), ensure_ascii=False, separators=(",", ":"))
    return replace(found, content=redacted(cleaned(text, len(text))))
