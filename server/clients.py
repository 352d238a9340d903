"""Finds the configuration of MCP clients and adds this server to it. No key is ever written there."""

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
"""Settings that are copied into an entry. Keys and passwords never are."""


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """One client's configuration.

    Attributes:
        path: The file.
        table: Names of the nested objects that contain the servers.
        typed: Whether an entry must name its type, stdio.
    """

    path: Path
    table: tuple[str, ...]
    typed: bool = False


def client_config(name: ClientName, user: Path, environment: Mapping[str, str], platform: str) -> ClientConfig:
    """The configuration of a client.

    Args:
        name: The client.
        user: The user's home folder.
        environment: For `APPDATA` and `XDG_CONFIG_HOME`.
        platform: A value of `sys.platform`.
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
    """The entry that starts this installation, with the current settings."""
    passed = {name: environment[name] for name in PASSED_ON if environment.get(name, "").strip()}
    start: dict[str, Any] = {"command": sys.executable, "args": ["-m", "heytraders_mcp"], "env": passed}
    return {"type": "stdio", **start} if config.typed else start


def merged(text: str | None, config: ClientConfig, added: Mapping[str, Any]) -> str:
    """A configuration with our entry added, and every other character unchanged, comments included.

    An existing entry keeps everything that `added` does not set, such as its environment and the client's own fields.

    Raises:
        BadSetting: The text is neither JSON nor JSON with comments, or has a wrong type in place of the servers.
    """
    written = text if text and text.strip() else "{}\n"
    path = [*config.table, ENTRY]
    plain = _without_comments(written)
    if not _leads_to_objects(plain, config.table):
        raise BadSetting(
            f"{config.path} is not JSON with an object at {'.'.join(config.table)}",
            suggestion="Add the entry by hand; --print shows it",
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


def switched_off(text: str, config: ClientConfig) -> str | None:
    """The field that keeps the client from starting our entry, as it is written: `"disabled": true`, for example.

    Args:
        text: A configuration that `merged` returned.
    """
    place: Any = json.loads(_without_comments(text))
    for name in (*config.table, ENTRY):
        place = place[name]
    for name, usual in (("disabled", False), ("enabled", True)):
        value = place.get(name, usual)
        if bool(value) is not usual:
            return f"{json.dumps(name)}: {json.dumps(value)}"
    return None


@dataclass(frozen=True, slots=True)
class _Place:
    """A value in JSON text, at `start`. The text has no comments, but the same positions as the original."""

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
        """The members of an object; of duplicate names the last counts, as in JSON parsers."""
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
        """`written`, which has the same positions, with a member added at the end of this object."""
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
    """JSON with comments and trailing commas replaced by spaces: plain JSON of the same length."""

    def blank(found: re.Match[str]) -> str:
        return found[0] if found[0].startswith('"') else re.sub(r"\S", " ", found[0])

    return _TRAILING.sub(blank, _COMMENTS.sub(blank, text))


_ELSEWHERE: Final = frozenset({"type", "transport", "url", "serverUrl", "headers"})
"""Fields of an entry for a server that is reached over HTTP."""


def _over(old: object, added: Mapping[str, Any]) -> dict[str, Any]:
    """The new entry: the old one updated with `added`, and both environments merged. Addresses of a server elsewhere
    are left out: the client would not know which to start."""
    whole = cast("dict[str, Any]", old) if isinstance(old, dict) else {}
    kept = {name: value for name, value in whole.items() if name not in _ELSEWHERE}
    environment = kept.get("env")
    before = cast("dict[str, Any]", environment) if isinstance(environment, dict) else {}
    return {**kept, **added, "env": {**before, **added["env"]}}


def _dumped(value: Any, depth: int) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False).replace("\n", "\n" + "  " * depth)


def _leads_to_objects(plain: str, table: tuple[str, ...]) -> bool:
    """Whether the text is a JSON object, with an object or nothing at each level down to the servers."""
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
    """The entry as a separate configuration, for display."""
    return merged(None, config, added)
