"""Prompts, one markdown file each in this folder: TOML front matter between `+++` lines, then the text.

+++
title = "Find candidates"
description = "One sentence for the menu."
needs = ["market_scan"]              # offered only where these tools are

[arguments.exchange]
description = "Which exchange to look at"
default = "binance"                  # without a default the argument is required
+++
Scan {{exchange}} ...
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection
from functools import cache
from importlib.resources import files
from typing import Any, Final

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.prompts.base import Message, Prompt, PromptArgument
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, InputRequiredResult

from api.errors import clean

FENCE: Final = "+++\n"
MAX_ARGUMENT: Final = 500

_PLACEHOLDER: Final = re.compile(r"\{\{(\w+)\}\}")


def load_prompts(tools: Collection[str]) -> list[Prompt]:
    """Every prompt whose tools are exposed, by name."""
    return [_prompt(name, head, body) for name, (head, body) in _texts().items() if set(head["needs"]).issubset(tools)]


@cache
def _texts() -> dict[str, tuple[dict[str, Any], str]]:
    """Front matter and body of every file, by name."""
    found = {
        entry.name.removesuffix(".md"): entry.read_text(encoding="utf-8")
        for entry in files(__package__ or "prompts").iterdir()
        if entry.name.endswith(".md")
    }
    return {name: _parse(text) for name, text in sorted(found.items())}


def _parse(text: str) -> tuple[dict[str, Any], str]:
    """Front matter and body of one file."""
    _, head, body = text.split(FENCE, maxsplit=2)
    return tomllib.loads(head), body.strip()


class StrictPrompt(Prompt):
    """A prompt that names missing or unknown arguments, where the SDK would report a fault of the server."""

    async def render(
        self, arguments: dict[str, Any] | None, context: Context[Any, Any]
    ) -> list[Message] | InputRequiredResult:
        """Render with exactly the declared arguments.

        Raises:
            MCPError: Invalid parameters.
        """
        declared = {argument.name: argument.required for argument in self.arguments or []}
        given = arguments or {}
        missing = [name for name, required in declared.items() if required and not given.get(name)]
        unknown = [clean(name, 40) for name in given if name not in declared]
        if missing or unknown:
            wrong = [f"{name} is missing" for name in missing] + [f"{name} is not known" for name in unknown]
            raise MCPError(INVALID_PARAMS, f"{'; '.join(wrong)}. The arguments are {', '.join(declared) or 'none'}.")
        return await super().render(arguments, context)


def _prompt(name: str, head: dict[str, Any], body: str) -> Prompt:
    declared: dict[str, dict[str, str]] = head.get("arguments", {})

    def render(**given: str) -> str:
        values = {key: given.get(key) or spec.get("default", "") for key, spec in declared.items()}
        return _PLACEHOLDER.sub(lambda match: _inline(values[match[1]]), body)

    return StrictPrompt(
        name=name,
        title=head["title"],
        description=head["description"],
        arguments=[
            PromptArgument(name=key, description=spec["description"], required="default" not in spec)
            for key, spec in declared.items()
        ],
        fn=render,
        context_kwarg=None,
    )


def _inline(value: str) -> str:
    """An argument in a form that fits into a sentence: one line, bounded."""
    return " ".join(value.split())[:MAX_ARGUMENT]
