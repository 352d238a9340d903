"""Invalid numbers and undeclared arguments are refused before the policy sees them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from api.orders import PlaceRequest
from api.outputs import from_wire
from safety.terms.proposal import OrderTerms
from tests.safety.policy.scenarios import BUY, against, facts, policy

CALL: Final[dict[str, Any]] = {
    "account_id": "acc-1",
    "exchange": "binance",
    "symbol": "BTC/USDT",
    "side": "buy",
    "order_type": "limit",
    "amount": "0.0005",
    "price": "60000",
}

SMUGGLED: Final[list[Any]] = [
    float("nan"),
    float("inf"),
    float("-inf"),
    "NaN",
    "nan",
    "sNaN",
    "Infinity",
    "-Infinity",
    "inf",
    "1e400",
    "1E400",
    "1e5",
    "1e-30",
    1e-30,
    1e300,
    -0.0,
    "-0",
    -5,
    "-5",
    "+5",
    "0x10",
    "0b1",
    "0o7",
    True,
    False,
    "True",
    "１２",  # noqa: RUF001 - full-width digits are the attack
    "١٢",
    "5_000",
    "5,000",
    "5 000",
    "5\u00a0000",
    "5\u200b",
    "\u2212" + "5",
    "1/3",
    "½",
    "²",
    "",
    " ",
    None,
    [],
    [1],
    {},
    {"value": 1},
    "0",
    0,
    "0.0",
    "0.0000000000000000000001",
    "1000000000000000000000",
    10**30,
    2**60 + 0.0,
    "1.2.3",
    ".5",
    "5.",
    "5\x00",
    "5; DROP TABLE intents",
    b"5",
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("Infinity"),
    Decimal("1e400"),
    Decimal(-1),
]


@pytest.mark.parametrize("field", ["amount", "price"])
@pytest.mark.parametrize("value", SMUGGLED, ids=repr)
def test_what_is_no_plain_positive_number_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        PlaceRequest.model_validate({**CALL, field: value})


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "1e400", "-0", "1e-400"])
def test_json_that_is_no_plain_number_is_refused(token: str) -> None:
    sent = json.dumps(CALL).replace('"0.0005"', token)

    with pytest.raises(ValidationError):
        PlaceRequest.model_validate(from_wire(sent))


@pytest.mark.parametrize("value", [True, 0, -1, 126, 1.5, "1.5", "０", "1e1", float("nan")], ids=repr)  # noqa: RUF001 - full-width
def test_leverage_is_a_whole_number_from_1_to_125(value: Any) -> None:
    perpetual = {**CALL, "exchange": "binancefuturesusd", "symbol": "BTC/USDT:USDT"}

    with pytest.raises(ValidationError):
        PlaceRequest.model_validate({**perpetual, "leverage": value})


@pytest.mark.parametrize(
    "extra", ["dry_run", "confirm", "approved", "force", "acknowledged", "limit", "notional", "__class__", "kind"]
)
def test_an_argument_that_nobody_asked_for_is_refused(extra: str) -> None:
    with pytest.raises(ValidationError):
        PlaceRequest.model_validate({**CALL, extra: True})


def test_a_tenth_and_two_tenths_keep_their_digits_or_are_refused() -> None:
    placed = PlaceRequest.model_validate({**CALL, "amount": 0.1 + 0.2})

    assert placed.amount == Decimal("0.30000000000000004")


@pytest.mark.parametrize("field", ["amount", "price"])
@pytest.mark.parametrize(
    "value",
    [Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal(-1), Decimal(0), Decimal("1e400")],
    ids=str,
)
def test_what_gets_past_the_request_is_denied_by_the_policy(field: str, value: Decimal) -> None:
    forged = BUY.model_copy(update={field: value})

    assert "DENY" in against(forged, policy(), facts()).values()


@settings(deadline=None)
@given(st.decimals(min_value=0, max_value=10**18, allow_nan=False, allow_infinity=False, places=18))
def test_an_amount_that_is_taken_is_taken_exactly(amount: Decimal) -> None:
    try:
        request = PlaceRequest.model_validate({**CALL, "amount": format(amount, "f")})
    except ValidationError:
        assert amount == 0 or amount >= 10**18
    else:
        assert OrderTerms.of(request).amount == amount
