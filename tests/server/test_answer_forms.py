"""The form of results: tables that list their columns once, pages of bounded size, short ratios."""

from __future__ import annotations

import json
from typing import Any

import pytest

from api.backtest_results import MetricsResponse, Trade, TradesResponse
from api.outputs import table_rows
from server.calls import PAGE_CHARACTERS, written


def a_trade(number: int) -> Trade:
    """A round trip with figures as long as floats get."""
    return Trade.model_validate(
        {
            "trade_id": number,
            "ticker": "BINANCE:BTC/USDT",
            "side": "long",
            "entry_time": "2024-01-01T00:00:00Z",
            "exit_time": "2024-01-02T00:00:00Z",
            "entry_price": 42123.123456789,
            "exit_price": 43123.987654321,
            "amount": 0.123456789,
            "pnl": 12.3456789012,
            "return_pct": 2.3760123456789,
            "fees": 0.1234567890123,
            "bars_held": 24,
            "exit_reason": "signal",
        }
    )


def _written(response: TradesResponse | MetricsResponse) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(written(response, hosted=False))
    return value


def test_a_list_of_rows_names_its_columns_once_and_keeps_its_values() -> None:
    trades = [a_trade(1), a_trade(2).model_copy(update={"tag": "second"})]
    shown = _written(TradesResponse.model_validate({"trades": trades, "total": 2}))["trades"]

    assert shown["columns"][:3] == ["trade_id", "ticker", "side"]
    assert [len(row) for row in shown["rows"]] == [len(shown["columns"])] * 2
    first, second = table_rows(shown)
    assert (first["entry_price"], first["pnl"], first["return_pct"]) == (42123.123456789, 12.3456789012, 2.37601)
    assert ("tag" in first, second["tag"]) == (False, "second")


def test_a_row_takes_less_than_half_of_what_an_object_takes() -> None:
    response = TradesResponse.model_validate({"trades": [a_trade(n) for n in range(1, 51)], "total": 50})

    assert len(written(response, hosted=False)) < 0.55 * len(response.model_dump_json(exclude_none=True))


@pytest.mark.parametrize(("offset", "more"), [(0, False), (3_000, True)])
def test_a_page_that_is_too_long_ends_earlier_and_the_next_one_begins_there(offset: int, more: bool) -> None:
    trades = [a_trade(n) for n in range(offset + 1, offset + 1_001)]
    following = offset + 1_000 if more else None
    whole = {"trades": trades, "total": offset + 1_000 + 7 * more, "next_offset": following}
    page = _written(TradesResponse.model_validate(whole))

    rows = table_rows(page["trades"])
    assert 100 < len(rows) < 1_000
    assert page["next_offset"] == offset + len(rows)
    assert len(json.dumps(page["trades"], separators=(",", ":"))) < PAGE_CHARACTERS + 1_000
    assert [row["trade_id"] for row in rows] == list(range(offset + 1, offset + len(rows) + 1))


def test_money_keeps_its_digits_and_ratios_have_six() -> None:
    shown = _written(
        MetricsResponse.model_validate(
            {"final_equity": 10234.567890123, "sharpe_ratio": 1.23456789, "max_drawdown": -0.123456789, "num_trades": 7}
        )
    )

    assert (shown["final_equity"], shown["sharpe_ratio"], shown["max_drawdown"]) == (
        10234.567890123,
        1.23457,
        -0.123457,
    )
