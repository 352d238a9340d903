"""A process that places a number of orders through our client, for tests that observe it from outside.

`python -m tests.chaos.safety_sender URL HOME COUNT FIRST` places wishes FIRST, FIRST + 1 and so on; with `watched` at
the end, it also runs a watcher as a server process does, and writes one character after each turn.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import anyio

from .safety_gated import agent
from .safety_wishes import wish

SEED = 5


async def send(url: str, home: Path, count: int, first: int, *, watched: bool) -> None:
    """Place one after the other."""
    async with agent(url, home) as own, anyio.create_task_group() as tasks:
        if watched:
            tasks.start_soon(own.watcher.run)
        for number in range(first, first + count):
            await own.place(wish(number, SEED))
            if watched:
                os.write(sys.stdout.fileno(), b".")
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    base, folder, how_many, begin = sys.argv[1:5]
    anyio.run(lambda: send(base, Path(folder), int(how_many), int(begin), watched=sys.argv[5:] == ["watched"]))
