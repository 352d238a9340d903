"""Live strategies through an MCP client, in both protocol eras: deployed, watched, switched, ended, delivered."""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from server.settings import Settings
from tests.calls import refusal, result
from tests.conftest import Connect

RSI = {"strategy_id": "rsi-reversion"}


@dataclass
class Receiver:
    """A webhook receiver on loopback, and the events that it received."""

    url: str = ""
    events: list[str] = field(default_factory=list[str])


@pytest.fixture
def receiver() -> Generator[Receiver]:
    """A receiver that answers 200."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            receiver.events.append(self.headers["X-HeyTraders-Event"])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        thread = threading.Thread(target=web.serve_forever, args=(0.02,))
        thread.start()
        receiver.url = f"http://127.0.0.1:{web.server_port}/hook"
        try:
            yield receiver
        finally:
            web.shutdown()
            thread.join()


async def test_a_strategy_is_deployed_watched_paused_resumed_and_ended(connect: Connect, settings: Settings) -> None:
    async with connect(settings) as client:
        offered = (await result(client, "live_strategies_list"))["strategies"]
        made = await result(client, "live_subscribe", **RSI)
        which = {"subscription_id": made["subscription_id"]}
        paused = await result(client, "live_pause", **RSI, **which)
        resumed = await result(client, "live_resume", **RSI, **which)
        listed = (await result(client, "live_subscriptions_list"))["subscriptions"]
        got = await result(client, "live_subscription_get", **which)
        ended = await result(client, "live_unsubscribe", **which)
        again = await result(client, "live_unsubscribe", **which)
        too_late = await refusal(client, "live_resume", **RSI, **which)

    assert RSI["strategy_id"] in [each["strategy_id"] for each in offered]
    assert all(each["description"] and each["universe"] and each["timeframe"] for each in offered)
    assert (made["mode"], made["status"], made["paper"]) == ("signal", "active", True)
    assert "Its first decision comes when the bar closes at" in made["message"]
    assert [each["status"] for each in (paused, resumed, ended, again)] == [
        "paused",
        "active",
        "unsubscribed",
        "unsubscribed",
    ]
    assert [each["subscription_id"] for each in listed] == [made["subscription_id"]]
    assert got["deliveries"] == []
    assert "live_subscribe" in too_late


async def test_a_strategy_that_trades_names_its_paper_account(connect: Connect, settings: Settings) -> None:
    async with connect(settings) as client:
        made = await result(client, "live_subscribe", **RSI, mode="TRADE", account_id="paper-binance")
        elsewhere = await refusal(client, "live_subscribe", **RSI, mode="trade", account_id="paper-upbit")
        nowhere = await refusal(client, "live_subscribe", **RSI, mode="trade")
        unused = await result(client, "live_subscribe", **RSI, account_id="paper-binance")

    assert (made["mode"], made["account_id"], made["paper"]) == ("trade", "paper-binance", True)
    assert "account paper-upbit trades on upbit, and the strategy on binance" in elsewhere
    assert nowhere.startswith("VALIDATION_ERROR: account_id is required when mode is trade. accounts_list")
    assert "account_id" not in unused
    assert "places no orders; account_id is not used" in unused["message"]


async def test_polling_begins_where_the_subscription_does(connect: Connect, settings: Settings) -> None:
    async with connect(settings) as client:
        made = await result(client, "live_subscribe", **RSI)
        which = {"subscription_id": made["subscription_id"]}
        first = await result(client, "live_signals_latest", **which)
        second = await result(client, "live_signals_latest", **which, since=first["next_since"], limit="5")
        unix = await result(client, "live_signals_latest", **which, since=1_704_067_200)
        history = await result(client, "live_signals", **which, symbol="btc-usdt", side="BUY", start_date="2024/01/01")

    assert first["signals"]["rows"] == second["signals"]["rows"] == history["signals"]["rows"] == []
    assert first["next_since"][:19] == made["created_at"][:19]
    assert second["next_since"] == first["next_since"]
    assert unix["next_since"] == "2024-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("live_subscribe", {"strategy": "rsi-reversion"}, ['live_subscribe(strategy_id="rsi-reversion")']),
        ("live_subscribe", {"strategy_id": "rsi_reversion"}, ["STRATEGY_NOT_FOUND", "Did you mean rsi-reversion"]),
        ("live_subscribe", {"strategy_id": "RSI reversion"}, ["must be an id"]),
        ("live_subscribe", {**RSI, "mode": "paper"}, ["one of signal, trade"]),
        ("live_subscribe", {**RSI, "mode": "signall"}, ['mode="signal"']),
        ("live_subscribe", {**RSI, "webhook": "https://example.com/x"}, ['webhook={"url": "https://example.com/x"}']),
        ("live_subscribe", {**RSI, "webhook": "{broken"}, ["webhook", "JSON"]),
        ("live_subscribe", {**RSI, "webhook": {"secret": "abcdefghij"}}, ["webhook.url is missing"]),
        (
            "live_subscribe",
            {**RSI, "webhook": '{"url": "https://example.com", "events": ["signals"]}'},
            ["webhook.events.0", "signal, error, strategy_stopped"],
        ),
        ("live_subscribe", {**RSI, "webhook": {"url": "https://10.0.0.1/x"}}, ["not public", "public server"]),
        ("live_subscribe", {**RSI, "webhook": {"url": "https://0x7f.1/x"}}, ["unusual notation"]),
        ("live_webhook_test", {"url": "http://127.0.0.1:8000/x"}, ["not https", "HEYTRADERS_WEBHOOK_LOOPBACK=1"]),
        ("live_webhook_test", {"url": "ftp://example.com"}, ["web address"]),
        ("live_subscription_get", {"subscription_id": "sub_none"}, ["SUBSCRIPTION_NOT_FOUND", "subscriptions_list"]),
        ("live_subscription_get", {"subscription_id": "../x"}, ["must be an id"]),
        ("live_pause", {"subscription_id": "sub_none"}, ["strategy_id is missing", "live_strategies_list"]),
        ("live_signals", {"subscription_id": "sub_none", "side": "long"}, ["one of buy, sell"]),
        (
            "live_signals",
            {"subscription_id": "sub_none", "start_date": "2024-02-01", "end_date": "2024-01-01"},
            ["end_date", "Swap"],
        ),
        ("live_signals_latest", {"subscription_id": "sub_none", "since": "yesterday"}, ["yesterday", "ISO 8601"]),
        ("live_signals_latest", {"subscription_id": "sub_none", "limit": 1000}, ["at most 200", "limit=200"]),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said_with_what_to_do(
    connect: Connect, tool: str, arguments: dict[str, Any], said: list[str]
) -> None:
    async with connect() as client:
        message = await refusal(client, tool, **arguments)

    assert [part for part in said if part not in message] == [], message
    assert "Traceback" not in message


async def test_what_belongs_to_another_strategy_or_market_is_refused(connect: Connect, settings: Settings) -> None:
    async with connect(settings) as client:
        which = {"subscription_id": (await result(client, "live_subscribe", **RSI))["subscription_id"]}
        strategy = await refusal(client, "live_pause", **which, strategy_id="macd-momentum")
        symbol = await refusal(client, "live_signals", **which, symbol="DOGE/USDT")
        cursor = await refusal(client, "live_signals", **which, cursor="page 2")

    assert "Use strategy_id=rsi-reversion" in strategy
    assert "It watches BTC/USDT, ETH/USDT, SOL/USDT" in symbol
    assert "next_cursor" in cursor


async def test_webhooks_reach_this_machine_only_where_the_setting_says_so(
    connect: Connect, settings: Settings, receiver: Receiver
) -> None:
    async with connect(settings) as client:
        refused = await refusal(client, "live_webhook_test", url=receiver.url)
    async with connect(replace(settings, webhooks_to_loopback=True)) as client:
        tested = await result(client, "live_webhook_test", url=receiver.url, secret="abcdefgh")
        made = await result(client, "live_subscribe", **RSI, webhook={"url": receiver.url, "events": "signal"})
        which = {"subscription_id": made["subscription_id"]}
        replaced = await result(client, "live_webhook_set", **which, url=receiver.url, secret="abcdefgh")
        removed = await result(client, "live_webhook_remove", **which)

    assert "not https" in refused
    assert (tested["delivered"], tested["status_code"]) == (True, 200)
    assert receiver.events == ["test"]
    assert made["webhook"]["events"] == ["signal"]
    assert replaced["events"] == ["signal", "error", "strategy_stopped"]
    assert "abcdefgh" not in str(replaced)
    assert removed["removed"] is True
