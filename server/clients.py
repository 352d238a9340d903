"""Where MCP clients keep their configuration, and how this server is entered there. No key ever goes into one."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

from .private import BadSetting

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
    """A configuration with our entry in it, and everything else as it was.

    Raises:
        BadSetting: The text is not plain JSON (comments, say), or has something else where the servers belong.
    """
    try:
        whole: object = json.loads(text) if text and text.strip() else {}
        place = whole
        for name in config.table:
            place = cast("dict[str, object]", place).setdefault(name, {})
        cast("dict[str, object]", place).update({ENTRY: dict(added)})
    except (ValueError, AttributeError) as error:
        raise BadSetting(
            f"{config.path} is no plain JSON with an object at {'.'.join(config.table)}",
            suggestion="Put the entry in by hand: add --print to see it",
        ) from error
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def alone(config: ClientConfig, added: Mapping[str, Any]) -> str:
    """The entry as a configuration of its own, to be shown."""
    return merged(None, config, added)
