"""Where MCP clients keep their configuration, and how this server is entered there. No key ever goes into one."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

from server.keys import BadSetting

ClientName = Literal["claude-desktop", "claude-code", "openclaw", "cursor", "vscode"]

ENTRY: Final = "heytraders"
PASSED_ON: Final = (
    "HEYTRADERS_HOME",
    "HEYTRADERS_BASE_URL",
    "HEYTRADERS_TOOLSETS",
    "HEYTRADERS_READ_ONLY",
    "HEYTRADERS_AUTH_HEADER",
    "HEYTRADERS_AMOUNTS",
    "HEYTRADERS_SEED",
    "HEYTRADERS_DATA",
)
"""Settings that an entry takes along. Keys and passwords are not among them, whatever is set."""


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """One client's configuration.

    Attributes:
        path: The file.
        table: Names of the objects that lead to the servers.
        typed: Whether an entry says that it is stdio.
    """

    path: Path
    table: tuple[str, ...]
    typed: bool = False


def client_config(name: ClientName, user: Path, environment: Mapping[str, str], platform: str) -> ClientConfig:
    """Where a client keeps its servers.

    Args:
        name: The client.
        user: The user's home folder.
        environment: For `APPDATA` and `XDG_CONFIG_HOME`.
        platform: As `sys.platform` says.
    """
    if platform == "darwin":
        programs = user / "Library" / "Application Support"
    elif platform == "win32":
        programs = Path(environment.get("APPDATA") or user / "AppData" / "Roaming")
    else:
        programs = Path(environment.get("XDG_CONFIG_HOME") or user / ".config")
    return {
        "claude-desktop": ClientConfig(programs / "Claude" / "claude_desktop_config.json", ("mcpServers",)),
        "claude-code": ClientConfig(user / ".claude.json", ("mcpServers",), typed=True),
        "openclaw": ClientConfig(user / ".openclaw" / "openclaw.json", ("mcp", "servers")),
        "cursor": ClientConfig(user / ".cursor" / "mcp.json", ("mcpServers",)),
        "vscode": ClientConfig(programs / "Code" / "User" / "mcp.json", ("servers",), typed=True),
    }[name]


def entry(config: ClientConfig, environment: Mapping[str, str]) -> dict[str, Any]:
    """How a client starts this very installation, with the settings of now."""
    passed = {name: environment[name] for name in PASSED_ON if environment.get(name, "").strip()}
    start: dict[str, Any] = {"command": sys.executable, "args": ["-m", "heytraders_mcp"], "env": passed}
    return {"type": "stdio", **start} if config.typed else start


def merged(text: str | None, config: ClientConfig, added: Mapping[str, Any]) -> str:
    """A configuration with our entry in it, and every other character as it was, comments included.

    An entry that is there keeps what `added` does not set: its environment, and whatever else the client keeps in it.

    Raises:
        BadSetting: The text is neither JSON nor JSON with comments, or has something else where the servers belong.
    """
    written = text if text and text.strip() else "{}\n"
    path = [*config.table, ENTRY]
    plain = _without_comments(written)
    if not _leads_to_objects(plain, config.table):
        raise BadSetting(
            f"{config.path} is not JSON with an object at {'.'.join(config.table)}",
            suggestion="Put the entry in by hand: add --print to see it",
        )
    place, depth = _Place(plain, 0), 0
    while depth < len(path) and (inner := place.members().get(path[depth])) is not None:
        place, depth = inner, depth + 1
    if depth == len(path):
        changed = written[: place.start] + _dumped(_over(place.value, added), depth) + written[place.end :]
    else:
        new: Any = dict(added)
        for name in reversed(path[depth + 1 :]):
            new = {name: new}
        changed = place.with_member(written, path[depth], new, depth + 1)
    return changed.replace("\r\n", "\n").replace("\n", "\r\n") if "\r\n" in written else changed


@dataclass(frozen=True, slots=True)
class _Place:
    """A value within JSON text, from `start` on. The text has no comments; its positions are the original's."""

    text: str
    start: int

    @property
    def value(self) -> Any:
        """The value itself."""
        return _DECODER.raw_decode(self.text, self._skip(self.start))[0]

    @property
    def end(self) -> int:
        """Where the value ends."""
        return _DECODER.raw_decode(self.text, self._skip(self.start))[1]

    def members(self) -> dict[str, _Place]:
        """The members of an object; of two with one name the last, as JSON readers have it."""
        found: dict[str, _Place] = {}
        at = self._skip(self._skip(self.start) + 1)
        while self.text[at] != "}":
            name, at = _DECODER.raw_decode(self.text, at)
            at = self._skip(self._skip(at) + 1)
            found[name] = _Place(self.text, at)
            at = self._skip(found[name].end)
            at = self._skip(at + 1) if self.text[at] == "," else at
        return found

    def with_member(self, written: str, name: str, value: Any, depth: int) -> str:
        """`written`, whose positions are the same, with one more member at the end of this object."""
        members = self.members()
        at = max((each.end for each in members.values()), default=self._skip(self.start) + 1)
        pad = "  " * depth
        comma = "," if members else ""
        tail = "" if members else "\n" + "  " * (depth - 1)
        return (
            f"{written[:at]}{comma}\n{pad}{json.dumps(name)}: {_dumped(value, depth)}{tail}{written[at:].lstrip(' ')}"
        )

    def _skip(self, at: int) -> int:
        while self.text[at].isspace():
            at += 1
        return at


_DECODER: Final = json.JSONDecoder()
_COMMENTS: Final = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING: Final = re.compile(r'"(?:[^"\\]|\\.)*"|,(?=\s*[}\]])', re.DOTALL)


def _without_comments(text: str) -> str:
    """JSON with comments and trailing commas as plain JSON of the same length: spaces take their place."""

    def blank(found: re.Match[str]) -> str:
        return found[0] if found[0].startswith('"') else re.sub(r"\S", " ", found[0])

    return _TRAILING.sub(blank, _COMMENTS.sub(blank, text))


def _over(old: object, added: Mapping[str, Any]) -> dict[str, Any]:
    """The new entry: what the old one says, with `added` over it, and both environments together."""
    kept = dict(cast("dict[str, Any]", old)) if isinstance(old, dict) else {}
    environment = kept.get("env")
    before = cast("dict[str, Any]", environment) if isinstance(environment, dict) else {}
    return {**kept, **added, "env": {**before, **added["env"]}}


def _dumped(value: Any, depth: int) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False).replace("\n", "\n" + "  " * depth)


def _leads_to_objects(plain: str, table: tuple[str, ...]) -> bool:
    """Whether the text is a JSON object, with objects or nothing at each step to the servers."""
    try:
        place: object = json.loads(plain)
    except (ValueError, RecursionError):
        return False
    for name in (*table, ""):
        if not isinstance(place, dict):
            return False
        place = cast("dict[str, object]", place).get(name, {})
    return True


def alone(config: ClientConfig, added: Mapping[str, Any]) -> str:
    """The entry as a configuration of its own, to be shown."""
    return merged(None, config, added)
