"""Orders are signed exactly as by the exchanges' own SDKs, compared field by field."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import Any

import pytest

from .fake_hyperliquid import FakeHyperliquid
from .fake_lighter import FakeLighter
from .fake_polymarket import YES
from .test_own_accounts import (
    CREDENTIALS,
    LIGHTER_KEY,
    WALLET,
    Setup,
    venue,  # pyright: ignore[reportUnusedImport] - a fixture
)

signing: Any = pytest.importorskip("hyperliquid.utils.signing")
eth_account: Any = pytest.importorskip("eth_account")

__all__ = ["venue"]


def placed_by(venue: Setup) -> list[Any]:
    """The requests that place an order to buy and one to sell."""
    venue.accounts.place(venue.order("to buy"))
    higher = {"polymarket": "0.43", "hyperliquid": "31000", "lighter": "31000.1"}[venue.exchange]
    venue.accounts.place(venue.order("to sell", side="sell", price=higher))
    return [request for request in venue.fake.requests if venue.fake.places(request)]


@pytest.mark.parametrize("venue", ["hyperliquid"], indirect=True)
def test_an_order_on_hyperliquid_is_signed_as_its_own_sdk_signs_it(venue: Setup) -> None:
    """The same action and nonce give the same signature, for buying and for selling."""
    assert isinstance(venue.fake, FakeHyperliquid)
    wallet = eth_account.Account.from_key(WALLET[1])
    placed = [request.json for request in placed_by(venue)]

    assert len(placed) == 2
    for body in placed:
        oracle = signing.sign_l1_action(wallet, body["action"], None, body["nonce"], None, True)
        ours = {name: int(str(body["signature"][name]), 0) for name in ("r", "s", "v")}
        assert ours == {name: int(str(oracle[name]), 0) for name in ("r", "s", "v")}


@pytest.fixture
def polymarket_sdk(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The signing module of Polymarket's SDK. It needs one function of a package that is not installed."""

    def prepend_zx(text: str) -> str:
        return text if text.startswith("0x") else f"0x{text}"

    helper: Any = ModuleType("py_order_utils.utils")
    helper.prepend_zx = prepend_zx
    monkeypatch.setitem(sys.modules, "py_order_utils", ModuleType("py_order_utils"))
    monkeypatch.setitem(sys.modules, "py_order_utils.utils", helper)
    return pytest.importorskip("py_clob_client_v2.order_utils.exchange_order_builder_v2")


@pytest.mark.parametrize("kind", ["2", "3"])
@pytest.mark.parametrize("venue", ["polymarket"], indirect=True)
def test_an_order_on_polymarket_is_signed_and_named_as_its_own_sdk_does_it(
    venue: Setup, polymarket_sdk: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a Safe and a deposit wallet: the same fields give the same signature and the same id."""
    monkeypatch.setitem(CREDENTIALS, "polymarket", (WALLET[0], kind, WALLET[1]))
    constants: Any = pytest.importorskip("py_clob_client_v2.config")
    sdk_signer: Any = pytest.importorskip("py_clob_client_v2.signer")
    contract = constants.get_contract_config(137).exchange_v2
    builder = polymarket_sdk.ExchangeOrderBuilderV2(contract, 137, sdk_signer.Signer(WALLET[1], 137))
    signed = [request.json["order"] for request in placed_by(venue)]

    assert [(one["side"], one["makerAmount"], one["takerAmount"]) for one in signed] == [
        ("BUY", "5125000", "12500000"),
        ("SELL", "12500000", "5375000"),
    ]
    assert {one["signatureType"] for one in signed} == {int(kind)}
    for one in signed:
        assert (one["tokenId"], int(one["builder"], 16), int(one["metadata"], 16)) == (YES, 0, 0)
        fields = {name: one[name] for name in ("salt", "maker", "signer", "tokenId", "makerAmount", "takerAmount")}
        rest = {name: one[name] for name in ("signatureType", "timestamp", "metadata", "builder")}
        side = 0 if one["side"] == "BUY" else 1
        typed = builder.build_order_typed_data(polymarket_sdk.OrderV2(**fields, side=side, **rest))
        assert one["signature"] == builder.build_order_signature(typed).lower()
        assert builder.build_order_hash(typed) in venue.fake.orders


@pytest.mark.parametrize("venue", ["lighter"], indirect=True)
def test_a_transaction_on_lighter_says_what_its_own_sdk_makes_it_say(venue: Setup) -> None:
    """The same terms, account and nonce give the same transaction; only time and signature differ each time."""
    assert isinstance(venue.fake, FakeLighter)
    sdk: Any = pytest.importorskip("lighter.signer_client")
    account, index, key = int(LIGHTER_KEY[0]), int(LIGHTER_KEY[1]), LIGHTER_KEY[2]
    placed = [json.loads(request.form["tx_info"]) for request in placed_by(venue)]

    assert [(one["IsAsk"], one["BaseAmount"], one["Price"]) for one in placed] == [(0, 150, 200_001), (1, 150, 310_001)]
    client: Any = object.__new__(sdk.SignerClient)
    client.signer = sdk.get_signer()
    client.account_index = account
    library = client.signer.CreateClient(b"http://127.0.0.1:9", key.encode(), 304, index, account)
    assert not library
    for one in placed:
        terms = (one["MarketIndex"], one["ClientOrderIndex"], one["BaseAmount"], one["Price"], one["IsAsk"])
        made = client.sign_create_order(
            *terms, 0, 1, order_expiry=one["OrderExpiry"], skip_nonce=1, nonce=one["Nonce"], api_key_index=index
        )
        assert made[-1] is None
        oracle = json.loads(made[1])
        drop = ("Sig", "ExpiredAt")
        assert {k: v for k, v in one.items() if k not in drop} == {k: v for k, v in oracle.items() if k not in drop}
        assert one["L2TxAttributes"] == {"4": 1}
