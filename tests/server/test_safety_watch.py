"""Background work of a server: it sends orders approved while no server ran, and obeys a halt from any process."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import anyio
import pytest

from api.errors import UserMustAct
from api.orders import ORDERS_LIST, OrdersRequest, PlaceRequest
from safety.human.in_force import order_words
from safety.human.signing import SigningKey, enrol
from safety.ledger import Ledger
from safety.ledger.database import TRIGGERS
from safety.terms.intent import Intent
from server.backend import Backend, open_backend
from server.settings import Settings

PATIENCE: Final = 30
ORDER: Final = PlaceRequest.model_validate(
    {"account_id": "paper-binance", "exchange": "binance", "symbol": "BTC/USDT", "side": "buy", "amount": "0.0005"}
)
RESTING: Final = PlaceRequest.model_validate({**ORDER.model_dump(), "order_type": "limit", "price": 10_000})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose user wants to approve simulated orders too."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    (folder / "policy.toml").write_text("[paper]\nask_a_human = true\n", encoding="utf-8")
    return folder


def enrolled(home: Path) -> SigningKey:
    """The user's key, with a cheap passphrase hash."""
    key = enrol(home, "four unrelated words", cost=2**4)
    with closing(Ledger.open(home)) as ledger:
        ledger.pin_approver(key.approver.public_key)
    return key


def booked(home: Path, intent_id: str) -> Intent:
    """An intent as any process sees it."""
    with closing(Ledger.open(home)) as ledger:
        found = ledger.intent(intent_id)
    assert found is not None
    return found


async def until(true: Callable[[], bool]) -> None:
    """Wait for the work of another task or process."""
    with anyio.fail_after(PATIENCE):
        while not await anyio.to_thread.run_sync(true):  # noqa: ASYNC110 - another process tells nobody
            await anyio.sleep(0.1)


async def shown_status(backend: Backend) -> str | None:
    """Of the newest order."""
    client = await backend.client()
    return (await client.call(ORDERS_LIST, OrdersRequest())).orders[0].status


async def test_what_was_approved_while_no_server_ran_is_sent_by_the_next_one_before_any_call(home: Path) -> None:
    key, settings = enrolled(home), Settings(home=home)
    async with open_backend(settings) as backend:
        waiting = await (await backend.safety()).orders.place(ORDER, "orders_place", "")
    intent_id = waiting.intent_id or ""
    with closing(Ledger.open(home)) as ledger:
        signature = key.sign(order_words(booked(home, intent_id)))
        ledger.approve(intent_id, signature=signature, key_id=key.key_id)
    async with open_backend(settings):
        await until(lambda: booked(home, intent_id).state not in {"APPROVED", "SENT"})
        done = booked(home, intent_id)

    assert waiting.outcome == "approval_required"
    assert done.state == "ACKED"
    assert (done.result or {})["status"] == "FILLED"


async def approved(home: Path) -> str:
    """The id of an order that a human approved while no server ran."""
    key = enrolled(home)
    async with open_backend(Settings(home=home)) as backend:
        waiting = await (await backend.safety()).orders.place(ORDER, "orders_place", "")
    intent_id = waiting.intent_id or ""
    with closing(Ledger.open(home)) as ledger:
        ledger.approve(intent_id, signature=key.sign(order_words(booked(home, intent_id))), key_id=key.key_id)
    return intent_id


async def test_a_server_that_only_reads_sends_nothing_not_even_what_was_approved(home: Path, tmp_path: Path) -> None:
    """By then a second server, which may send, has sent its own order."""
    other = tmp_path / "other"
    shutil.copytree(home, other)
    kept, sent = await approved(home), await approved(other)
    async with open_backend(Settings(home=home, read_only=True)) as backend:
        report = await (await backend.safety()).reports.intent(kept)
        async with open_backend(Settings(home=other)):
            await until(lambda: booked(other, sent).state == "ACKED")

    assert report.state == "APPROVED"
    assert booked(home, kept).state == "APPROVED"


async def test_a_file_named_halt_cancels_resting_orders_without_a_call(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with open_backend(Settings(home=home)) as backend:
        placed = await (await backend.safety()).orders.place(RESTING, "orders_place", "")
        before = await shown_status(backend)
        (home / "HALT").touch()
        with anyio.fail_after(PATIENCE):
            while await shown_status(backend) == "OPEN":  # noqa: ASYNC110 - the engine tells nobody
                await anyio.sleep(0.1)
        after = await shown_status(backend)

    assert (placed.outcome, before, after) == ("placed", "OPEN", "CANCELLED")


async def test_a_server_that_was_never_asked_leaves_the_ledger_unmade(tmp_path: Path) -> None:
    async with open_backend(Settings(home=tmp_path / "home")) as backend:
        await backend.client()

    assert not Ledger.exists(tmp_path / "home")


async def test_an_old_event_that_was_altered_halts_soon_after_the_start_although_it_was_whole_once(home: Path) -> None:
    with closing(Ledger.open(home)) as ledger:
        for number in range(3):
            ledger.record("note", number=number)
        assert ledger.check() == []
    with closing(sqlite3.connect(home / "safety.db", isolation_level=None)) as raw:
        body = TRIGGERS["events_no_change"]
        raw.execute("DROP TRIGGER events_no_change")
        raw.execute("UPDATE events SET at = at - 1 WHERE seq = 1")
        raw.execute(f"CREATE TRIGGER events_no_change {body}")
    async with open_backend(Settings(home=home)) as backend:
        before = (await (await backend.safety()).reports.status()).switch
        await until((home / "HALT").exists)

    assert before == "ACTIVE"


async def test_an_unusable_ledger_stops_orders_and_nothing_else(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "safety.db").write_bytes(b"not a database")
    async with open_backend(Settings(home=home)) as backend:
        with pytest.raises(UserMustAct, match="cannot be used"):
            await backend.safety()
        listed = await (await backend.client()).call(ORDERS_LIST, OrdersRequest())

    assert listed.orders == []
