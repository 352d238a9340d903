"""People and programs that answer a client's dialog."""

from __future__ import annotations

from typing import Final

from mcp.client import ClientRequestContext
from mcp.types import ElicitRequestFormParams, ElicitRequestParams, ElicitResult, ErrorData

YES: Final = ElicitResult(action="accept", content={"approve": True})
NO: Final = ElicitResult(action="accept", content={"approve": False})
DECLINED: Final = ElicitResult(action="decline")
CANCELLED: Final = ElicitResult(action="cancel")


class Person:
    """Answers every form in the same way, and records what it was shown."""

    def __init__(self, answer: ElicitResult | ErrorData) -> None:
        self.answer = answer
        self.shown: list[ElicitRequestFormParams] = []

    async def __call__(
        self,
        context: ClientRequestContext,  # noqa: ARG002 - the SDK calls by these names
        params: ElicitRequestParams,
    ) -> ElicitResult | ErrorData:
        """Look, and answer."""
        assert isinstance(params, ElicitRequestFormParams)
        self.shown.append(params)
        return self.answer
