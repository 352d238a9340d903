"""The one list of what is exposed, in the order in which clients see it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal, get_args

from .accounts import ACCOUNTS
from .arena import ARENA
from .backtest import BACKTEST
from .declaration import ToolRow
from .docs import DOCS
from .live import LIVE
from .market import MARKET
from .meta import META
from .orders import ORDERS

Toolset = Literal["research", "trading", "live", "arena"]
TOOLSETS: Final[tuple[Toolset, ...]] = get_args(Toolset)


@dataclass(frozen=True, slots=True)
class Section:
    """A module's tools, and the toolset that they belong to."""

    toolset: Toolset
    tools: tuple[ToolRow, ...]


SECTIONS: Final[tuple[Section, ...]] = (
    Section("research", META),
    Section("research", MARKET),
    Section("trading", ACCOUNTS),
    Section("trading", ORDERS),
    Section("research", DOCS),
    Section("research", BACKTEST),
    Section("live", LIVE),
    Section("arena", ARENA),
)


def exposed(toolsets: Collection[Toolset] = TOOLSETS, *, read_only: bool = False) -> tuple[ToolRow, ...]:
    """The tools of `toolsets`; with `read_only`, those of them that change nothing."""
    return tuple(
        tool
        for section in SECTIONS
        if section.toolset in toolsets
        for tool in section.tools
        if tool.hints.read_only or not read_only
    )
