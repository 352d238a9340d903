"""Attackers that can write the user's files, but have neither the passphrase nor a use for the API key.

An attacker that steals the API key does not need us: it calls the service itself. The defence, described in the README,
is a server that runs as another user or on another host.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from typing import Final

from api.errors import HeyTradersError
from safety.human.in_force import BY_ELICITATION, POLICY_FILE, order_words
from safety.human.signing import APPROVER_FILE, enrol
from safety.ledger import Ledger
from tests.dialogs import YES, Person

from .conftest import CHEAP, Target
from .registry import CONFIRMED, ORDER, attacker, tried

LOOSE: Final = """
typed_amount_above = 1000000
[live]
trading = true
accounts = "unlimited"
symbols = "unlimited"
ask_a_human = false
automatic_up_to = 1000
elicitation_up_to = 25
"""


@attacker("a looser policy file", Person(YES))
async def looser_file(target: Target) -> None:
    (target.home / POLICY_FILE).write_text(LOOSE, encoding="utf-8")
    await tried(target, "orders_place", ORDER)
    await tried(target, "place_with_confirmation", CONFIRMED)


@attacker("no policy file, a broken one, a link and a folder in its place")
async def broken_file(target: Target) -> None:
    path = target.home / POLICY_FILE
    path.unlink()
    await tried(target, "orders_place", ORDER)
    for text in ("", "[live", "live = 1", "[live]\nautomatic_up_to = nan", "[live]\nnothing_like_it = 1"):
        path.write_text(text, encoding="utf-8")
        await tried(target, "orders_place", ORDER)
    path.unlink()
    path.symlink_to(target.home / "missing")
    await tried(target, "orders_place", ORDER)
    path.unlink()
    path.mkdir()
    await tried(target, "orders_place", ORDER)


async def _asked(target: Target, amount: str = "0.1") -> str:
    asked = await target.client.call_tool("orders_place", {**ORDER, "amount": amount})
    assert asked.structured_content is not None, asked.content
    return str(asked.structured_content["intent_id"])


@attacker("an approver of its own")
async def own_approver(target: Target) -> None:
    intent_id = await _asked(target)
    (target.home / APPROVER_FILE).unlink()
    key = enrol(target.home, "a passphrase of mine", cost=CHEAP)
    with closing(Ledger.open(target.home)) as ledger:
        intent = ledger.intent(intent_id)
        assert intent is not None
        with suppress(HeyTradersError):
            ledger.pin_approver(key.approver.public_key)
        ledger.approve(intent_id, signature=key.sign(order_words(intent)), key_id=key.key_id)
    await tried(target, "orders_place", ORDER)
    await tried(target, "place_with_confirmation", CONFIRMED)


@attacker("invalid signatures under the human's key id")
async def no_signatures(target: Target) -> None:
    for number, signature in enumerate(("00" * 64, "", "not hexadecimal"), start=1):
        intent_id = await _asked(target, f"0.{number}")
        with closing(Ledger.open(target.home)) as ledger, suppress(HeyTradersError, ValueError):
            ledger.approve(intent_id, signature=signature, key_id=target.armed.key.key_id)
        await tried(target, "orders_place", {**ORDER, "amount": f"0.{number}"})


@attacker("an approval booked as a dialog's")
async def booked_as_a_dialogs(target: Target) -> None:
    intent_id = await _asked(target)
    with closing(Ledger.open(target.home)) as ledger:
        ledger.approve(intent_id, signature="", key_id=BY_ELICITATION)
    await tried(target, "orders_place", ORDER)


@attacker("the human's signature under another order")
async def signature_of_another(target: Target) -> None:
    intent_id = await _asked(target)
    asked = await tried(target, "orders_place", {**ORDER, "amount": "0.4"})
    with closing(Ledger.open(target.home)) as ledger:
        small = ledger.intent(intent_id)
        assert small is not None
        signature = target.armed.key.sign(order_words(small))
        ledger.approve(str(asked["intent_id"]), signature=signature, key_id=target.armed.key.key_id)
    await tried(target, "orders_place", {**ORDER, "amount": "0.4"})


@attacker("the human's signature under a release, used for an order")
async def signature_for_another_purpose(target: Target) -> None:
    intent_id = await _asked(target)
    with closing(Ledger.open(target.home)) as ledger:
        signature = target.armed.key.sign("heytraders-mcp releases HALTED since 0.0 at 00")
        ledger.approve(intent_id, signature=signature, key_id=target.armed.key.key_id)
    await tried(target, "orders_place", ORDER)


@attacker("rows of the ledger changed by hand")
async def changed_rows(target: Target) -> None:
    intent_id = await _asked(target)
    changes = (
        "UPDATE intents SET state = 'APPROVED', automatic = 1 WHERE intent_id = ?",
        "UPDATE intents SET state = 'NOT_SENT' WHERE intent_id = ?",
        "UPDATE intents SET key_id = 'elicitation', state = 'APPROVED' WHERE intent_id = ?",
    )
    for change in changes:
        with closing(sqlite3.connect(target.home / "safety.db")) as db, suppress(sqlite3.Error):
            db.execute(change, (intent_id,))
            db.commit()
        await tried(target, "orders_place", ORDER)
        await tried(target, "order_intent", {"intent_id": intent_id})


@attacker("the signed policy changed in the ledger")
async def changed_policy(target: Target) -> None:
    with closing(sqlite3.connect(target.home / "safety.db")) as db, suppress(sqlite3.Error):
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            if "toml" in columns:
                db.execute(f"UPDATE {table} SET toml = ?", (LOOSE,))  # noqa: S608 - names of our own tables
        db.commit()
    (target.home / POLICY_FILE).write_text(LOOSE, encoding="utf-8")
    await tried(target, "orders_place", ORDER)


@attacker("the ledger, or the journal's key, thrown away")
async def thrown_away(target: Target) -> None:
    (target.home / "audit.key").unlink()
    await tried(target, "orders_place", ORDER)
    for path in target.home.glob("safety.db*"):
        path.unlink()
    (target.home / POLICY_FILE).write_text(LOOSE, encoding="utf-8")
    await tried(target, "orders_place", ORDER)


@attacker("the HALT file removed")
async def halt_file_removed(target: Target) -> None:
    intent_id = await _asked(target)
    await tried(target, "safety_halt", {"reason": "something is wrong"})
    (target.home / "HALT").unlink(missing_ok=True)
    with suppress(HeyTradersError):
        target.armed.approve(intent_id)
    await tried(target, "orders_place", ORDER)
