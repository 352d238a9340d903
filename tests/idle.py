"""Waiting for work that reports its progress: it may take long, but it must make progress."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio

IDLE_SECONDS: Final = 60.0


async def ended_job(look: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """The last status of a job; fails when nothing has changed for `IDLE_SECONDS`."""
    seen: object = None
    with anyio.fail_after(IDLE_SECONDS) as patience:
        while True:
            status = await look()
            if status["status"] not in ("queued", "running"):
                return status
            now = (status["status"], status.get("progress"), status.get("message"))
            if now != seen:
                seen, patience.deadline = now, anyio.current_time() + IDLE_SECONDS
            await anyio.sleep(0.02)
