"""Startup: from spawning the process to its `initialize` response, beside a one-tool server on the bare SDK.

Both start in turn in the same run, so that a busy machine slows both. The figure is the ratio of the medians.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 15
TARGET = 1.15

BARE = """
from mcp.server.mcpserver import MCPServer
server = MCPServer("bare")
@server.tool()
def add(a: int, b: int) -> int:
    "Add two numbers."
    return a + b
server.run()
"""

INITIALIZE = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "bench", "version": "1"},
        },
    }
)


def start(arguments: list[str], environment: dict[str, str]) -> float:
    """Milliseconds until the response to `initialize` is read."""
    begun = time.perf_counter()
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    ) as server:
        if server.stdin is None or server.stdout is None:
            raise RuntimeError("no pipes")
        server.stdin.write(INITIALIZE + "\n")
        server.stdin.flush()
        line = server.stdout.readline()
        took = (time.perf_counter() - begun) * 1000
        server.stdin.close()
    if "result" not in json.loads(line or "{}"):
        raise RuntimeError(f"{arguments}: no result but {line!r}")
    return took


def main() -> int:
    """Print both medians and their ratio; exit code 1 above the target."""
    with tempfile.TemporaryDirectory() as home:
        bare_file = Path(home, "bare.py")
        bare_file.write_text(BARE, encoding="utf-8")
        environment = {**os.environ, "HEYTRADERS_HOME": home}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        ours, bare = [sys.executable, "-m", "heytraders_mcp"], [sys.executable, str(bare_file)]
        for warm_up in (ours, bare):
            start(warm_up, environment)
        pairs = [(start(ours, environment), start(bare, environment)) for _ in range(ROUNDS)]
    our_median, bare_median = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = our_median / bare_median
    print(f"start to initialize: {our_median:.0f} ms; bare SDK with one tool: {bare_median:.0f} ms; ratio {ratio:.2f}")
    print(f"target: at most {TARGET} ({ROUNDS} rounds each, by turns)")
    return 0 if ratio <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
