"""Installs a wheel in a fresh environment and serves stdio from it, beside folders that carry our folders' names."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from mcp import Client, StdioServerParameters

SCRIPT = 'emit_signal(crossover(close, sma(close, 20)), entry(TICKER, "LONG", Weight(0.5), stop_loss=0.05))'
CALLS: dict[str, dict[str, object]] = {
    "market_evaluate": {"symbol": "BTC/USDT", "expression": "close[-1]"},
    "docs_read": {"slug": "signal-dsl"},
    "live_strategies_list": {},
    "backtest_and_poll": {
        "strategy_type": "signal",
        "script": SCRIPT,
        "universe": ["BINANCE:BTC/USDT"],
        "start_date": "2024-01-01",
        "end_date": "2024-01-31",
    },
}
"""A call for each kind of thing that a wheel could lack: code, documents, scripts, what worker processes import."""

OURS = ("api", "engine", "prompts", "resources", "safety", "server", "tools")


def top_level(wheel: Path) -> set[str]:
    """What the wheel would add to site-packages."""
    with zipfile.ZipFile(wheel) as archive:
        return {name.split("/")[0] for name in archive.namelist() if ".dist-info/" not in name}


async def serves(command: str, arguments: list[str], folder: Path) -> None:
    """Start the server in a hostile folder and use it once."""
    environment = {"HEYTRADERS_HOME": str(folder / "home"), "PYTHONPATH": str(folder)}
    server = StdioServerParameters(command=command, args=arguments, cwd=str(folder), env=environment)
    async with Client(server) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        for tool, given in CALLS.items():
            result = await client.call_tool(tool, given)
            if tool not in names or result.is_error:
                sys.exit(f"{command}: {tool} of {names}: {result.content}")


def main(wheel: Path) -> None:
    """Check one wheel."""
    if top_level(wheel) != {"heytraders_mcp"}:
        sys.exit(f"{wheel.name} adds {sorted(top_level(wheel))} to site-packages")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "elsewhere")
        for name in OURS:
            (folder / name).mkdir(parents=True)
            (folder / name / "__init__.py").write_text("raise SystemExit('a stranger was imported')\n", "utf-8")
        environment = Path(scratch, "environment")
        subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, environment], check=True)
        python = environment / "bin" / "python"
        subprocess.run(["uv", "pip", "install", "--quiet", "--python", python, wheel], check=True)
        asyncio.run(serves(str(environment / "bin" / "heytraders-mcp"), [], folder))
        asyncio.run(serves(str(python), ["-m", "heytraders_mcp"], folder))
    sys.stdout.write(f"{wheel.name}: holds heytraders_mcp only; serves stdio from another folder\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
