"""A sign of life for anything that takes more than a second."""

from __future__ import annotations

import sys
from collections.abc import Awaitable
from typing import TypeVar

import anyio
import click

Result = TypeVar("Result")


async def ticking(work: Awaitable[Result]) -> Result:
    """Await something, with a dot for each second that it takes where stderr is a terminal."""
    if not sys.stderr.isatty():
        return await work
    dots = 0

    async def tick() -> None:
        nonlocal dots
        while True:
            await anyio.sleep(1)
            dots += 1
            click.echo(".", nl=False, err=True)

    results: list[Result] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        results.append(await work)
        tasks.cancel_scope.cancel()
    if dots:
        click.echo(err=True)
    return results[0]
