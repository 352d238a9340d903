"""Tools as the SDK runs them, but strict: exact arguments in, the model's JSON out, one sentence where it fails."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase, FuncMetadata
from mcp.types import CallToolResult, InputRequiredResult, ToolAnnotations
from pydantic import PrivateAttr, ValidationError

from api.errors import HeyTradersError, explain
from tools.declaration import ToolRow
from tools.snapshot import load

from .asking import AskFirst, question_in
from .exits import failure, success, written

if TYPE_CHECKING:
    from mcp.server.mcpserver import Context

    from tools.desk import Desk

logger = logging.getLogger("heytraders.tools")

OpenDesk = Callable[["Context[Any, Any]"], Awaitable["Desk"]]


class StrictTool(Tool):
    """A row of the tool surface, served.

    The schemas are the committed ones. The request model, and with it the whole API, is imported at the first call.
    """

    _row: ToolRow = PrivateAttr()
    _open_desk: OpenDesk = PrivateAttr()

    @classmethod
    def of(cls, row: ToolRow, open_desk: OpenDesk) -> StrictTool:
        """Serve `row`; `open_desk` gives each call what it may use."""
        definition = load(row.name)
        tool = cls(
            fn=_unreachable,
            name=row.name,
            title=definition["title"],
            description=definition["description"],
            parameters=definition["inputSchema"],
            fn_metadata=FuncMetadata(arg_model=ArgModelBase, output_schema=definition["outputSchema"]),
            is_async=True,
            context_kwarg=None,
            annotations=ToolAnnotations.model_validate(definition["annotations"]),
        )
        tool._row = row
        tool._open_desk = open_desk
        return tool

    async def run(
        self,
        arguments: dict[str, Any],
        context: Context[Any, Any],
        convert_result: bool = False,  # noqa: ARG002, FBT001, FBT002 - the SDK's signature
    ) -> CallToolResult | InputRequiredResult:
        """Validate, call and convert. Every failure becomes a result with `isError` that says what to do next.

        A call that wants to ask its user something first ends with the question.
        """
        try:
            return success(await self._call(arguments, context))
        except HeyTradersError as error:
            logger.info("%s refused: %s", self.name, error.code)
            return failure(explain(error))
        except Exception:
            logger.exception("%s crashed", self.name)
            return failure(
                f"INTERNAL_ERROR: {self.name} failed for a reason of its own; the call was not the cause. "
                "The server's log on stderr has the details. `heytraders-mcp doctor` checks the installation."
            )
        except (AskFirst, BaseExceptionGroup) as left:
            question = question_in(left)
            if question is None:
                raise
            return question

    async def _call(self, arguments: dict[str, Any], context: Context[Any, Any]) -> str:
        operation = self._row.operation()
        given = self._without_blanks(arguments)
        try:
            request = operation.request.model_validate(given)
        except ValidationError as error:
            from api.refusals import refuse

            raise refuse(self.name, operation.request, error, given) from None
        desk = await self._open_desk(context)
        response = await operation.run(desk, request)
        return written(response, hosted=desk.facts.source == "hosted")

    def _without_blanks(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments that were given: clients that must fill in every one write "" for those that they leave out."""
        required = self.parameters.get("required", ())
        return {name: value for name, value in arguments.items() if value != "" or name in required}


async def _unreachable() -> None:
    """The SDK wants a function; `run` never calls it."""
    raise NotImplementedError
