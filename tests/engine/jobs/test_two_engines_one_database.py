"""Two engines with a home each on one PostgreSQL database: either shows, compares and cancels what the other ran."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from api.times import AcceleratedClock
from engine.engine import Engine, EngineSettings
from engine.jobs.spec import JobSettings
from tests.engine.research.conftest import NOON, SWEEP, Door
from tests.postgresql import schema_url


@pytest.fixture
async def pair(postgresql_server: str, tmp_path: Path) -> AsyncIterator[tuple[Engine, Engine]]:
    """Both on an empty schema, one job at a time each."""
    url = schema_url(postgresql_server, tmp_path)
    async with AsyncExitStack() as opened:
        engines: list[Engine] = []
        for name in ("first", "second"):
            settings = EngineSettings(tmp_path / name, database_url=url, jobs=JobSettings(slots=1))
            engines.append(await Engine.open(settings, AcceleratedClock(NOON)))
            opened.push_async_callback(engines[-1].aclose)
        yield engines[0], engines[1]


@pytest.mark.long
async def test_two_engines_share_jobs_results_and_sweeps(pair: tuple[Engine, Engine]) -> None:
    first, second = Door(pair[0]), Door(pair[1])
    one, other = await first.tested(end_date="2024-02-29"), await second.tested(end_date="2024-02-29")
    body = {"result_ids": [one, other]}
    compared = [(await door.data("POST", "/backtest/compare", body))["rows"] for door in (first, second)]
    started = await first.data("POST", "/backtest/sweep", SWEEP | {"grid": {"n": [5, 10]}, "end_date": "2024-02-29"})
    swept = await second.ended(f"/backtest/sweep/{started['sweep_id']}")
    again = await second.tested(end_date="2024-02-29")
    verdict = await first.data("GET", f"/backtest/results/{again}")

    assert compared[0] == compared[1]
    assert compared[0][0][2:] == compared[0][1][2:]
    assert swept["status"] == "completed"
    assert verdict["robustness"]["variants_tried"] == 3


@pytest.mark.long
async def test_a_job_of_an_engine_that_stops_is_run_by_the_other(pair: tuple[Engine, Engine]) -> None:
    first, second = Door(pair[0]), Door(pair[1])
    long = SWEEP | {"timeframe": "1h", "start_date": "2021-01-01"}
    started = await first.data("POST", "/backtest/sweep", long)
    waiting = await first.data("POST", "/backtest/sweep", SWEEP | {"grid": {"n": [5, 10]}})

    cancelled = await second.data("POST", f"/backtest/cancel/{waiting['sweep_id']}")
    await pair[0].aclose()
    found = await second.ended(f"/backtest/sweep/{started['sweep_id']}")

    assert cancelled["status"] == "cancelled"
    assert (found["status"], found["variants"]) == ("completed", 30)
