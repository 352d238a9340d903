"""The cost of sixteen research tasks for an agent in o200k tokens, each beside its budget.

Run it with `python -m bench.agent_tasks`. It fails if the total is more than 60 % of the sixteen tasks' cost at 0.1.0.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import anyio
from mcp import Client

from server.app import open_server
from server.settings import Settings
from tests.agent_tasks.test_research_tasks import BEFORE, TASKS, solve

MOST: float = 0.6


async def _costs() -> list[int]:
    with tempfile.TemporaryDirectory() as folder:
        async with open_server(Settings(home=Path(folder) / "home")) as server, Client(server) as client:
            return [(await solve(client, task))[1] for task in TASKS]


def main() -> int:
    """Print a line per task and the sums."""
    costs = anyio.run(_costs)
    for task, cost in zip(TASKS, costs, strict=True):
        print(f"{task.asked:<62} {cost:>6}   budget {task.budget:>6}")
    total = sum(costs)
    print(f"{'all tasks':<62} {total:>6}   before {BEFORE:>6}   {total / BEFORE:>5.0%}")
    return 0 if total <= MOST * BEFORE else 1


if __name__ == "__main__":
    sys.exit(main())
