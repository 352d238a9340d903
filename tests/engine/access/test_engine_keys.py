"""Keys: who gets access, for how long, and to what."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from api.times import AcceleratedClock
from engine.access import KEY_FILE
from engine.engine import Engine, EngineSettings
from tests.engine.conftest import Call

Register = Callable[..., Awaitable[str]]


async def test_a_missing_key_is_refused_and_the_refusal_says_how_to_get_one(call: Call) -> None:
    answer = await call("GET", "/meta/indicators", key=None)

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "INVALID_API_KEY"
    assert "/meta/register" in answer.json()["error"]["suggestion"]


@pytest.mark.parametrize("key", ["wrong", "ht_prov_" + "x" * 43, "' OR 1=1 --", "x" * 10_000])
async def test_a_wrong_key_is_refused(call: Call, key: str) -> None:
    answer = await call("GET", "/meta/capabilities", key=key)

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "INVALID_API_KEY")
    assert key not in answer.text


async def test_a_bearer_token_is_as_good_as_the_header(call: Call, register: Register) -> None:
    key = await register()

    answer = await call("GET", "/meta/capabilities", key=None, headers={"Authorization": f"Bearer {key}"})

    assert answer.status_code == 200


async def test_a_provisional_key_expires_after_a_day(call: Call, register: Register, clock: AcceleratedClock) -> None:
    key = await register()
    clock.advance(86_399)
    before = await call("GET", "/meta/capabilities", key=key)
    clock.advance(1)
    after = await call("GET", "/meta/capabilities", key=key)

    assert before.status_code == 200
    assert (after.status_code, after.json()["error"]["code"]) == (401, "EXPIRED_API_KEY")


async def test_a_key_without_the_scope_is_told_which_one_is_missing(call: Call, register: Register) -> None:
    answer = await call("GET", "/accounts", key=await register())

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (403, "INSUFFICIENT_PERMISSIONS")
    assert error["message"] == "this needs the scope read, and the API key has research"
    assert "scope read" in error["suggestion"]


async def test_endpoints_without_a_scope_accept_any_key_or_no_key(call: Call) -> None:
    statuses = {(await call("GET", "/meta/health", key=key)).status_code for key in (None, "wrong", "local")}

    assert statuses == {200}


async def test_the_local_key_is_private_and_survives_a_restart(engine: Engine, tmp_path: Path) -> None:
    key = await engine.access.local_key()
    await engine.aclose()
    again = await Engine.open(EngineSettings(tmp_path / "home"))
    kept = await again.access.local_key()
    caller = await again.access.admit(kept, "trade", "here")
    await again.aclose()

    assert kept == key
    assert caller.scopes == {"research", "read", "trade"}
    assert stat.S_IMODE((tmp_path / "home" / KEY_FILE).stat().st_mode) == 0o600


async def test_a_lost_key_file_is_replaced_by_a_key_of_the_same_agent(engine: Engine, tmp_path: Path) -> None:
    first = await engine.access.local_key()
    (tmp_path / "home" / KEY_FILE).unlink()
    second = await engine.access.local_key()

    assert second != first
    callers = [await engine.access.admit(key, "read", "here") for key in (first, second)]
    assert callers[0].agent_id == callers[1].agent_id


async def test_a_key_file_that_outlived_its_database_still_works(engine: Engine, tmp_path: Path) -> None:
    key = await engine.access.local_key()
    other = await Engine.open(EngineSettings(tmp_path / "home", f"sqlite:///{tmp_path / 'new.sqlite3'}"))
    kept = await other.access.local_key()
    caller = await other.access.admit(kept, "trade", "here")
    await other.aclose()

    assert kept == key
    assert caller.agent_id is not None


@pytest.mark.sqlite
async def test_no_key_is_stored_in_the_database(engine: Engine, register: Register, tmp_path: Path) -> None:
    keys = [await register(), await engine.access.local_key()]
    with sqlite3.connect(tmp_path / "home" / "engine.sqlite3") as database:
        dump = "\n".join(database.iterdump())
    database.close()

    assert all(key not in dump and key.split("_", 2)[2] not in dump for key in keys)
