"""`heytraders-mcp accounts connect`: what it says about a key, and what it keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from api.exchanges import ExchangeId
from engine.venues.exchange import session
from server import channels as account_keys
from server.channels import ConnectedAccounts
from server.cli.accounts import accounts as accounts_verb
from server.cli.doctor import doctor
from server.settings import Settings

from .fake_binance import FakeBinance
from .fake_venue import Answer, Request, serving
from .test_own_accounts import CREDENTIALS, SECRETS, VENUES, at_once

pytest.importorskip("ccxt")


def cli(settings: Settings, typed: str, *arguments: str) -> tuple[int, str]:
    """Run `heytraders-mcp accounts` in this process; returns the exit code and the output."""
    environment = {
        "HEYTRADERS_HOME": str(settings.home),
        "HEYTRADERS_VENUE_URLS": ",".join(f"{name}={url}" for name, url in settings.venue_urls.items()),
    }
    done = CliRunner().invoke(accounts_verb, arguments, input=typed, env=environment)
    return done.exit_code, f"{done.output}{done.exception or ''}"


OWN_KEY = "0x" + "c0ffee" + "22" * 29
OWN_ADDRESS = "0x28afdc86d1b3d67d73f4761fd50fbe736462a85d"
"""The address of that private key, as eth-account computes it."""


@pytest.mark.parametrize(
    ("exchange", "secrets", "answers", "said", "is_kept"),
    [
        ("binance", None, {"apiRestrictions": (200, {"enableReading": True, "enableSpotAndMarginTrading": False})},
         "It may not trade either, so Binance will refuse its orders", True),
        ("gate", None, {"spot/accounts": (403, {"label": "REQUEST_EXPIRED", "message": "gap exceeds 60"})},
         "clock is wrong (HTTP 403, REQUEST_EXPIRED: gap exceeds 60)", False),
        ("gatefutures", None, {"futures/usdt/accounts": (403, {"label": "FORBIDDEN", "message": "not in whitelist"})},
         "(HTTP 403, FORBIDDEN: not in whitelist)", False),
        ("upbit", None, {"v1/accounts": (401, {"error": {"name": "expired_access_key", "message": "expired"}})},
         "(HTTP 401, expired_access_key: expired)", False),
        ("hyperliquid", ("0x" + "11" * 20, OWN_KEY), {}, "says that the key may not withdraw", True),
        ("hyperliquid", ("0x" + "33" * 20, OWN_KEY), {}, f"the address {OWN_ADDRESS}, which is no API wallet", False),
        ("hyperliquid", (OWN_ADDRESS, OWN_KEY), {}, "may withdraw or transfer money; nothing was stored", False),
        ("lighter", None, {"accountActiveOrders": (400, {"code": 20013, "message": "invalid auth"})},
         "does not accept this key for this request (HTTP 400, 20013: invalid auth)", False),
        ("polymarket", ("0x" + "11" * 20, "0", OWN_KEY), {}, f"holds the money, and that is {OWN_ADDRESS}", False),
        ("polymarket", (OWN_ADDRESS, "0", OWN_KEY), {}, "The private key controls the whole wallet", True),
    ],
)  # fmt: skip
def test_what_a_key_may_do_and_why_it_is_refused_is_said_before_it_is_kept(
    exchange: ExchangeId,
    secrets: tuple[str, ...] | None,
    answers: dict[str, Answer],
    said: str,
    is_kept: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A key that may not trade, another machine's key, another account's key, a wallet's own key and a wrong clock."""
    monkeypatch.setattr(session, "take_turn", at_once)
    monkeypatch.setattr(session, "TRIES", 1)
    fake = VENUES[exchange][0]()
    given = fake.answer

    def answer(request: Request) -> Answer:
        return next((told for path, told in answers.items() if path in request.path), None) or given(request)

    monkeypatch.setattr(fake, "answer", answer)
    typed = secrets or CREDENTIALS.get(exchange, SECRETS)
    with serving(fake) as url:
        settings = Settings(home=tmp_path, data="exchange", venue_urls={exchange: url})
        _, told = cli(settings, "\n".join(typed) + "\n", "connect", exchange, "--id", "mine", "--file")

    assert said in told
    assert ConnectedAccounts(tmp_path).get("mine") is not None if is_kept else not list(tmp_path.rglob("*mine*"))
    assert not [secret for secret in typed if len(secret) > 60 and secret in told]


def test_an_account_is_connected_by_its_owner_and_forgotten_again(tmp_path: Path) -> None:
    """The verb prompts for the keys and keeps them for that exchange only. A key that may withdraw is refused."""
    fake = FakeBinance()
    with serving(fake) as url:
        _connect_and_forget(Settings(home=tmp_path / "home", data="exchange", venue_urls={"binance": url}), fake)


def _connect_and_forget(settings: Settings, fake: FakeBinance) -> None:
    keys = "key-of-other-0123456\nsecret-of-other-0123456\n"
    cli(settings, keys.replace("other", "main"), "connect", "binance", "--id", "main", "--file")
    fake.may_withdraw = True
    greedy = cli(settings, keys, "connect", "binance", "--id", "other", "--file")
    fake.may_withdraw = False
    connected = cli(settings, keys, "connect", "binance", "--id", "other", "--file")
    paper = cli(settings, keys, "connect", "binance", "--id", "paper-binance", "--file")
    bets = "0x" + "11" * 20 + "\n7\n"
    not_a_type = cli(settings, bets, "connect", "polymarket", "--id", "bets", "--file")
    moved = cli(settings, keys, "connect", "upbit", "--id", "other", "--file")
    to_play_money = cli(settings, keys, "connect", "binance", "--id", "other", "--testnet", "--file")
    unnamed = [cli(settings, "", "connect", "binance", "--id", name, "--file")[1] for name in ("../x", "", "a b")]
    renewed = cli(settings, keys, "connect", "binance", "--id", "other", "--file")
    no_testnet = cli(settings, keys, "connect", "upbit", "--id", "won", "--testnet", "--file")
    listed = cli(settings, "", "list")
    kept = settings.home / account_keys.FOLDER / "other.json"
    mode = kept.stat().st_mode & 0o777
    environment = {"HEYTRADERS_HOME": str(settings.home), "HEYTRADERS_VENUE_URLS": ""}
    report = CliRunner().invoke(doctor, (), env=environment).output
    not_paper = cli(settings, "", "fund", "other", "10")
    gone = cli(settings, "", "disconnect", "other")
    unknown = cli(settings, "", "disconnect", "other")

    assert "may withdraw" in greedy[1]
    assert (connected[0], "says that the key may not withdraw" in connected[1]) == (0, True)
    assert "secret-of-other" not in connected[1]
    assert "is a paper account" in paper[1]
    assert "other is already a Binance account" in moved[1]
    assert "other is already a Binance account" in to_play_money[1]
    assert all("is not a valid account id" in said for said in unnamed)
    assert renewed[0] == 0
    assert "has no testnet" in no_testnet[1]
    assert "is not a Polymarket signature type: 0 for a wallet of your own" in not_a_type[1]
    assert [line.split()[:3] for line in listed[1].splitlines() if not line.startswith("paper")] == [
        ["real", "main", "binance"],
        ["real", "other", "binance"],
    ]
    assert "other at Binance: an old copy of the home is detected by this user's state folder, and before" in report
    assert "is an exchange account, not a paper account" in not_paper[1]
    assert mode == 0o600
    assert (gone[0], kept.exists()) == (0, False)
    assert "no account other is connected" in unknown[1]
