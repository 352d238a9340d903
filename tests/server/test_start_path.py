"""Startup and tool listing import only what they need, because agents wait for both before their first turn."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import json, sys
import server.cli.run, server.cli.serve
commands = sorted(sys.modules)
import anyio
from pathlib import Path
from mcp import Client
import server.cli
from server.app import open_server
from server.settings import Settings

async def main():
    async with open_server(Settings(home=Path(sys.argv[1]))) as server, Client(server) as client:
        await client.list_tools()
        await client.list_resources()
        await client.list_prompts()

anyio.run(main)
print(json.dumps([commands, sorted(sys.modules)]))
"""

HEAVY = ("numpy", "talib", "fastapi", "sqlalchemy", "httpx", "pyarrow", "keyring", "sqlite3", "engine")
API_MODELS = ("api.catalogue", "api.endpoint", "api.inputs", "api.market", "api.meta", "api.client")


def test_neither_heavy_libraries_nor_api_models_are_imported_before_the_first_call(tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(home)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    commands, imported = json.loads(done.stdout)

    assert [name for name in imported if name in API_MODELS or name.split(".")[0] in HEAVY] == []
    assert "mcp" not in commands, "`engine` and `run` speak no MCP, and the SDK takes a second to import"
    assert not home.exists()
