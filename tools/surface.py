"""The list of exposed tools, in the order that clients see."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from api.errors import InvalidInput, closest, show

from .accounts import ACCOUNTS
from .arena import ARENA
from .backtest import BACKTEST
from .declaration import ToolRow
from .live import LIVE
from .market import MARKET
from .meta import DOCS, META
from .orders import ORDERS
from .safety import SAFETY

Toolset = Literal["research", "trading", "live", "arena"]
TOOLSETS: Final[tuple[Toolset, ...]] = get_args(Toolset)


@dataclass(frozen=True, slots=True)
class Section:
    """A module's tools, and their toolsets."""

    toolsets: tuple[Toolset, ...]
    tools: tuple[ToolRow, ...]


SECTIONS: Final[tuple[Section, ...]] = (
    Section(("research",), META),
    Section(("research",), MARKET),
    Section(("trading",), ACCOUNTS),
    Section(("trading",), ORDERS),
    Section(("trading", "live", "arena"), SAFETY),
    Section(("research",), DOCS),
    Section(("research",), BACKTEST),
    Section(("live",), LIVE),
    Section(("arena",), ARENA),
)


def not_offered(name: str, offered: Sequence[str]) -> InvalidInput:
    """The message for a caller of a tool that is not in `offered`."""
    if any(row.name == name for row in exposed()):
        return InvalidInput(
            f"the tool {name} is not offered with these settings",
            suggestion="HEYTRADERS_TOOLSETS and HEYTRADERS_READ_ONLY decide which are, and only the user can set them",
        )
    near = closest(name, offered)
    suggestion = f"Did you mean {' or '.join(near)}?" if near else f"There is {', '.join(offered)}"
    return InvalidInput(f"there is no tool {show(name)}", suggestion=suggestion)


def exposed(toolsets: Collection[Toolset] = TOOLSETS, *, read_only: bool = False) -> tuple[ToolRow, ...]:
    """The tools of `toolsets`; with `read_only`, only those that change nothing."""
    return tuple(
        tool
        for section in SECTIONS
        if not set(toolsets).isdisjoint(section.toolsets)
        for tool in section.tools
        if tool.hints.read_only or not read_only
    )
