"""An account is real or paper according to what a human connected, never according to the service that answers."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from api.errors import Denied, NotFound, UserMustAct
from safety.gate import Gate
from safety.terms.proposal import CONNECTED_SERVICE, PAPER, PAPER_SERVICE, Channel, Channels
from server.channels import ConnectedAccount, ConnectedAccounts, Reached, local_channels
from server.gate import build_gate_context
from server.settings import Settings
from tests.safety.gate.conftest import ACCOUNT, SIGNED, Place, opened, order
from tests.safety.ledger.books import deployment
from tests.safety.ledger.books import order as terms


def _anyone(_account_id: str) -> None:
    return None


async def test_an_unknown_account_is_real() -> None:
    for channels in (Channels.hosted("https://venue.test/api/v1"), Channels.local(lambda _: _nothing())):
        assert (await channels.of_account("who-knows")).money == "real"
        assert (await channels.of_account(None)).money == "real"
        assert (await channels.of(deployment(account_id=None))).money == "real"


async def _nothing() -> None:
    return None


@pytest.mark.parametrize(("money", "name"), [("paper", "https://venue.test"), ("paper", CONNECTED_SERVICE)])
def test_paper_money_is_never_booked_under_a_name_of_real_money(money: Any, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be booked"):
        Channel(money, name)
    with pytest.raises(ValueError, match="cannot be booked"):
        Channel("real", PAPER_SERVICE)


def test_an_unknown_account_cannot_be_declared_paper() -> None:
    with pytest.raises(ValueError, match="an unknown account is real"):
        Channels(PAPER, PAPER)


async def test_a_connected_account_is_real_although_the_engine_answers_for_it(tmp_path: Path) -> None:
    channels = local_channels(tmp_path, _anyone)
    assert (await channels.of(terms(account_id=ACCOUNT))).money == "paper"

    ConnectedAccounts(tmp_path).put(ConnectedAccount(account_id=ACCOUNT, exchange="binance"))

    channel = await channels.of(terms(account_id=ACCOUNT))
    assert (channel.money, channel.service, channel.exchange) == ("real", CONNECTED_SERVICE, "binance")
    assert not channel.certain_refusals


async def test_a_list_of_accounts_that_cannot_be_read_lets_nothing_pass(tmp_path: Path) -> None:
    (tmp_path / "accounts.json").touch(mode=0o600)
    (tmp_path / "accounts.json").write_text(json.dumps({"accounts": "all of them"}), encoding="utf-8")

    with pytest.raises(UserMustAct, match="not clear which accounts are real"):
        await local_channels(tmp_path, _anyone).of_account("paper-binance")


def test_accounts_are_kept_and_forgotten(tmp_path: Path) -> None:
    accounts = ConnectedAccounts(tmp_path)
    one, two = (ConnectedAccount(account_id=name, exchange="upbit", client_ids=True) for name in ("a", "b"))
    accounts.put(one)
    accounts.put(two)

    assert accounts.remove("a")
    assert not accounts.remove("a")
    assert ConnectedAccounts(tmp_path).all() == (two,)
    assert (tmp_path / "accounts.json").stat().st_mode & 0o077 == 0


async def test_an_order_on_a_connected_account_is_denied_until_a_human_has_signed(tmp_path: Path) -> None:
    async with opened(tmp_path / "home", hosted=False) as place:
        ConnectedAccounts(tmp_path / "home").put(ConnectedAccount(account_id=ACCOUNT, exchange="binance"))
        with pytest.raises(Denied, match="R01_MODE"):
            await place.gate.orders.place(order(), "orders_place", "")

    assert place.heard.changes == []


async def test_a_connected_account_under_a_signed_policy_is_under_every_rule_of_real_money(tmp_path: Path) -> None:
    async with opened(tmp_path / "home", hosted=False, live={**SIGNED, "order_types": frozenset({"limit"})}) as place:
        ConnectedAccounts(tmp_path / "home").put(ConnectedAccount(account_id=ACCOUNT, exchange="binance"))
        with pytest.raises(Denied, match="R05_ORDER_TYPE"):
            await place.gate.orders.place(order(), "orders_place", "")
        waiting = await place.gate.orders.place(await place.limit(), "orders_place", "")
        assert waiting.intent_id is not None
        intent = place.ledger.intent(waiting.intent_id)

        assert waiting.outcome == "approval_required"
        assert intent is not None
        assert (intent.proposal.money, intent.proposal.service) == ("real", CONNECTED_SERVICE)
        assert (await place.gate.reports.status()).mode == "live"
        assert place.heard.changes == []


async def test_an_order_that_was_judged_as_paper_is_not_sent_to_a_real_account(tmp_path: Path) -> None:
    async with opened(tmp_path / "home", hosted=False, paper={"ask_a_human": True}) as place:
        waiting = await place.gate.orders.place(order(), "orders_place", "")
        assert waiting.intent_id is not None
        await place.approve(waiting.intent_id)
        ConnectedAccounts(tmp_path / "home").put(ConnectedAccount(account_id=ACCOUNT, exchange="binance"))
        intent = await place.context.executor.execute(waiting.intent_id)

    assert intent.state in {"APPROVED", "DECLINED"}
    assert "POST /orders" not in place.heard.changes


async def test_an_account_of_neither_kind_is_refused_by_name(paper: Place) -> None:
    with pytest.raises(NotFound, match="paper-binanse"):
        await paper.gate.orders.place(order(account_id="paper-binanse"), "orders_place", "")


async def test_an_account_decides_which_venue_it_is_of(tmp_path: Path) -> None:
    limits = {**SIGNED, "symbols": None, "market_types": None, "max_amount": None}
    async with opened(tmp_path / "home", hosted=True, live=limits) as place:
        request = order(
            exchange="gate", symbol="BTC/USDT", order_type="limit", price=await place.price(), amount=Decimal("0.0005")
        )
        with pytest.raises(Denied, match=r"is a .binance. account, and the order names the exchange gate"):
            await place.gate.orders.place(request, "orders_place", "")

    assert place.heard.changes == []


async def test_two_spellings_of_a_service_share_one_count_of_limits(tmp_path: Path) -> None:
    async with opened(tmp_path / "home", hosted=True, live={**SIGNED, "daily_count": 1}) as place:
        await place.gate.orders.place(await place.limit(), "orders_place", "")
        channels = Channels.hosted("https://VENUE.test:443/api/v1")
        settings = Settings(home=tmp_path / "home")
        other = Gate.of(
            build_gate_context(settings, Reached(place.context.client, channels), place.ledger, place.clock.now)
        )

        with pytest.raises(Denied, match="R13_DAILY_COUNT"):
            await other.orders.place(await place.limit("0.996"), "orders_place", "")
