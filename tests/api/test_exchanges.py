"""What an exchange is, is a row; a row that lacks something never gets as far as an order."""

from __future__ import annotations

import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pytest

from api.exchanges import EXCHANGES, Exchange, ExchangeId

ROOT = Path(__file__).parents[2]


def test_every_exchange_of_the_api_has_a_row_under_its_own_name() -> None:
    assert {name: row.id for name, row in EXCHANGES.items()} == {name: name for name in get_args(ExchangeId)}


def test_a_row_without_its_fees_and_limits_cannot_be_made() -> None:
    half: dict[str, Any] = {"id": "binance", "name": "Binance", "market_type": "spot", "quote": "USDT"}

    with pytest.raises(TypeError, match="order_types"):
        Exchange(**half)


@pytest.mark.parametrize("row", EXCHANGES.values(), ids=EXCHANGES)
def test_a_new_account_can_pay_for_the_smallest_order_and_its_fee(row: Exchange) -> None:
    assert Decimal(0) <= row.maker <= row.taker < Decimal("0.01")
    assert 0 < row.minimum * (1 + row.taker) < row.opening_balance


def test_no_other_module_tells_exchanges_apart_by_name() -> None:
    names = "|".join(get_args(ExchangeId))
    folders = ["api", "safety", "tools", "server", "resources", "engine/routes", "engine/live", "engine/venues/paper"]
    found = subprocess.run(
        ["git", "grep", "-nE", f'(==|!=) "({names})"|"({names})" in ', "--", *folders],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert found.stdout == ""
