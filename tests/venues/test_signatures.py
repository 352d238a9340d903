"""Orders are signed as Hyperliquid's own SDK signs them, compared signature by signature."""

from __future__ import annotations

from typing import Any

import pytest

from .fake_hyperliquid import FakeHyperliquid
from .test_own_accounts import WALLET, Setup, venue  # pyright: ignore[reportUnusedImport] - `venue` is a fixture

signing: Any = pytest.importorskip("hyperliquid.utils.signing")
eth_account: Any = pytest.importorskip("eth_account")

__all__ = ["venue"]


@pytest.mark.parametrize("venue", ["hyperliquid"], indirect=True)
async def test_an_order_on_hyperliquid_is_signed_as_its_own_sdk_signs_it(venue: Setup) -> None:
    """The same action and nonce give the same signature, for buying and for selling."""
    assert isinstance(venue.fake, FakeHyperliquid)
    venue.accounts.place(venue.order("to buy"))
    venue.accounts.place(venue.order("to sell", side="sell", price="31000"))
    wallet = eth_account.Account.from_key(WALLET[1])
    placed = [request.json for request in venue.fake.requests if venue.fake.places(request)]

    assert len(placed) == 2
    for body in placed:
        oracle = signing.sign_l1_action(wallet, body["action"], None, body["nonce"], None, True)
        ours = {name: int(str(body["signature"][name]), 0) for name in ("r", "s", "v")}
        assert ours == {name: int(str(oracle[name]), 0) for name in ("r", "s", "v")}
