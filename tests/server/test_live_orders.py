"""Orders of live strategies pass the gate: its limits count them and its journal records them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from api.errors import Denied
from api.live import LIVE_STRATEGIES_LIST, LIVE_SUBSCRIBE, StrategiesRequest, SubscribeRequest
from api.orders import Order
from engine.access import LOCAL_AGENT
from engine.live.door import DoorAnswer, OrderDoor, StrategyOrder
from engine.trading_rules import ExitOrder, Exits
from safety.gate.deployments import place_for_strategy
from safety.gate.wording import gated_order
from safety.private_file import write_private
from safety.terms.intent import Intent
from server.backend import Backend, open_backend
from server.channels import ConnectedAccount, ConnectedAccounts
from server.settings import Settings
from tests.safety.gate.conftest import ACCOUNT, SIGNED, Place, opened, order

SUBSCRIPTION = "sub_1"


class NoBooks:
    """An object that nothing may use."""

    def find(self, agent_id: str, account_id: str, key: str) -> DoorAnswer | None:
        raise AssertionError((agent_id, account_id, key))

    def place(self, order: StrategyOrder) -> DoorAnswer:
        raise AssertionError(order)

    def cancel(self, agent_id: str, account_id: str, key: str) -> DoorAnswer:
        raise AssertionError((agent_id, account_id, key))

    def set_exits(
        self, agent_id: str, account_id: str, entry: str, exits: Exits, amount: Decimal | None = None
    ) -> list[Order]:
        raise AssertionError((agent_id, account_id, entry, exits, amount))

    def permit_exit(self, order: ExitOrder) -> str:
        raise AssertionError(order)


def asked(key: str = "sig_1", **terms: Any) -> StrategyOrder:
    """An order of a strategy."""
    return StrategyOrder(key, LOCAL_AGENT, SUBSCRIPTION, order(**terms))


@dataclass
class Through:
    """The door of a running server."""

    backend: Backend
    door: OrderDoor

    async def place(self, wanted: StrategyOrder) -> DoorAnswer:
        """As the runner's thread does."""
        return await to_thread.run_sync(self.door.place, wanted)

    async def intents(self) -> list[Intent]:
        """All intents of the ledger."""
        context = await self.backend.context()
        return await to_thread.run_sync(context.ledger.intents)


@asynccontextmanager
async def through(home: Path, policy: str = "") -> AsyncGenerator[Through]:
    await to_thread.run_sync(write_private, home / "policy.toml", policy)
    async with open_backend(Settings(home=home)) as backend:
        make = backend.door()
        assert make is not None
        yield Through(backend, await to_thread.run_sync(make, NoBooks()))


async def test_a_strategys_order_is_placed_and_recorded_under_its_subscription(tmp_path: Path) -> None:
    async with through(tmp_path / "home") as live:
        answer = await live.place(asked())
        [intent] = await live.intents()

    assert answer.answered == "placed"
    assert answer.order is not None
    assert answer.order.status == "FILLED"
    assert (intent.state, intent.caller.tool, intent.caller.client) == ("ACKED", "live strategy", SUBSCRIPTION)
    assert intent.order_id == answer.order.order_id
    assert gated_order(intent).confirmed_by == "standing"


async def test_the_same_decision_is_one_order_however_often_it_is_placed(tmp_path: Path) -> None:
    async with through(tmp_path / "home") as live:
        first = await live.place(asked())
        again = await live.place(asked(amount="0.0007"))
        found = await to_thread.run_sync(live.door.find, LOCAL_AGENT, ACCOUNT, "sig_1")
        nothing = await to_thread.run_sync(live.door.find, LOCAL_AGENT, ACCOUNT, "sig_2")
        count = len(await live.intents())

    assert (first.order, count, nothing) == (again.order, 1, None)
    assert found is not None
    assert found.order == first.order


async def test_an_order_beyond_a_limit_is_refused_with_the_rule_and_what_tools_used_counts(tmp_path: Path) -> None:
    async with through(tmp_path / "home", "[paper]\ndaily_count = 2\n") as live:
        gate = await live.backend.safety()
        await gate.orders.place(order(), "orders_place", "")
        answers = [await live.place(asked(f"sig_{number}")) for number in range(2)]

    assert [each.answered for each in answers] == ["placed", "refused"]
    assert "R13_DAILY_COUNT" in answers[1].reason


async def test_a_halt_stops_a_strategys_orders(tmp_path: Path) -> None:
    async with through(tmp_path / "home") as live:
        gate = await live.backend.safety()
        await gate.kill_switch.halt("enough", "a test")
        answer = await live.place(asked())

    assert answer.answered == "refused"
    assert "HALTED" in answer.reason


async def test_a_resting_order_of_a_strategy_is_cancelled_by_its_key(tmp_path: Path) -> None:
    async with through(tmp_path / "home") as live:
        placed = await live.place(asked(order_type="limit", price="1", amount="10"))
        cancelled = await to_thread.run_sync(live.door.cancel, LOCAL_AGENT, ACCOUNT, "sig_1")
        never = await to_thread.run_sync(live.door.cancel, LOCAL_AGENT, ACCOUNT, "sig_9")

    assert placed.order is not None
    assert placed.order.status == "OPEN"
    assert cancelled.order is not None
    assert cancelled.order.status == "CANCELLED"
    assert never.answered == "refused"


async def test_a_strategy_on_a_real_account_needs_the_signature_of_its_deployment(tmp_path: Path) -> None:
    async with opened(tmp_path / "home", hosted=False, live=SIGNED) as place:
        ConnectedAccounts(tmp_path / "home").put(ConnectedAccount(account_id=ACCOUNT, exchange="binance"))
        unapproved = await place_for_strategy(place.context, await place.limit(), "nobody-signed-it", "sig_1")
        listed = await place.context.client.call(LIVE_SUBSCRIBE, await _trading(place))

    assert unapproved.state == "PENDING"
    assert listed.mode == "trade"
    assert "POST /orders" not in place.heard.changes


async def test_a_signed_deployment_takes_the_place_of_each_approval_and_of_no_limit(tmp_path: Path) -> None:
    async with opened(tmp_path / "home", hosted=True, live={**SIGNED, "daily_count": 2}) as place:
        waiting = await place.gate.deployments.subscribe(await _trading(place), "live_subscribe", "")
        assert waiting.approval is not None
        await place.approve(waiting.approval.intent_id)
        deployed = await place.context.executor.execute(waiting.approval.intent_id)
        subscription = deployed.order_id or ""
        first = await place_for_strategy(place.context, await place.limit("1.001"), subscription, "sig_1")
        second = await place_for_strategy(place.context, await place.limit("1.002"), subscription, "sig_2")
        with pytest.raises(Denied, match="R13_DAILY_COUNT"):
            await place_for_strategy(place.context, await place.limit("1.003"), subscription, "sig_3")

    assert deployed.state == "ACKED"
    assert [first.state, second.state] == ["ACKED", "ACKED"]


async def _trading(place: Place) -> SubscribeRequest:
    listed = await place.context.client.call(LIVE_STRATEGIES_LIST, StrategiesRequest())
    chosen = next(each for each in listed.strategies if each.exchange in {None, "binance"})
    return SubscribeRequest.model_validate({"strategy_id": chosen.strategy_id, "mode": "trade", "account_id": ACCOUNT})
