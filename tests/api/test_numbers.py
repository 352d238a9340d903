"""Amounts: a plain decimal passes exactly, and nothing else passes."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError

from api.inputs import Request
from api.outputs import Amount, JsonNumber, ReportedMoney, from_wire, to_wire
from api.refusals import refuse

AMOUNT: TypeAdapter[Decimal] = TypeAdapter(Amount)
MONEY: TypeAdapter[Decimal] = TypeAdapter(ReportedMoney)

plain_text = st.from_regex(r"(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?", fullmatch=True)


class Order(Request):
    """A request with an amount and a bounded fee."""

    amount: Amount
    fee: Amount = Field(default=Decimal("0.0005"), le=1)


@given(plain_text.filter(lambda text: Decimal(text) > 0))
def test_a_plain_decimal_keeps_its_digits_from_text_and_from_json_to_the_wire(text: str) -> None:
    as_number: Any = from_wire(text)

    for value in (text, f"  {text} ", as_number):
        assert to_wire({"a": AMOUNT.validate_python(value)}) == f'{{"a":{text}}}'
    assert to_wire({"a": AMOUNT.validate_python(text)}, "string") == f'{{"a":"{text}"}}'


@given(st.floats(min_value=1e-15, max_value=2**53, exclude_max=True))
def test_a_float_counts_as_its_shortest_decimal_text(value: float) -> None:
    if -Decimal(repr(value)).as_tuple().exponent > 18:  # pyright: ignore[reportOperatorIssue] - finite
        with pytest.raises(ValidationError):
            AMOUNT.validate_python(value)
    else:
        assert AMOUNT.validate_python(value) == Decimal(repr(value))


@given(st.text(max_size=30))
def test_any_other_text_is_refused(text: str) -> None:
    try:
        value = AMOUNT.validate_python(text)
    except ValidationError:
        return
    assert text.strip(" \t\r\n").isascii()
    assert value == Decimal(text.strip())
    assert "e" not in text.lower()


REFUSED: dict[str, object] = {
    "NaN": float("nan"),
    "NaN as text": "NaN",
    "Infinity": float("inf"),
    "Infinity as text": "Infinity",
    "true": True,
    "null": None,
    "zero": 0,
    "zero as text": "0.000",
    "negative": -5,
    "negative float": -0.5,
    "minus zero": -0.0,
    "a sign": "+5",
    "an exponent": "1e3",
    "a huge exponent": "1e400",
    "an endless exponent": "1e999999999",
    "an endless JSON exponent": JsonNumber("1e-999999999"),
    "full-width digits": "\uff15",
    "arabic digits": "\u0665",
    "an underscore": "5_000",
    "a thousands separator": "1,000",
    "a currency": "$5",
    "no digit before the point": ".5",
    "no digit after the point": "5.",
    "a no-break space": "5\u00a0",
    "a space inside": "5 000",
    "hexadecimal": "0x10",
    "19 digits": "1" * 19,
    "19 decimals": "0." + "1" * 19,
    "a float beyond exactness": 1e17,
    "an endless integer": 10**5000,
    "an empty string": "",
    "a list": [1],
    "an object": {"amount": 1},
    "bytes": b"5",
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_what_is_no_plain_positive_decimal_is_refused_with_a_bounded_message(value: object) -> None:
    given_: dict[str, object] = {"amount": value}
    with pytest.raises(ValidationError) as caught:
        Order.model_validate(given_)

    refusal = refuse("orders_place", Order, caught.value, given_)
    assert refusal.message.startswith("amount ")
    assert len(refusal.message) < 250


@pytest.mark.parametrize(
    ("written", "meant"), [("1e3", "1000"), ("+5", "5"), (".5", "0.5"), ("5.", "5"), ("5_000", "5000"), ("\uff15", "5")]
)
def test_a_slip_with_one_meaning_is_named_with_its_correction(written: str, meant: str) -> None:
    given_ = {"amount": written}
    with pytest.raises(ValidationError) as caught:
        Order.model_validate(given_)

    assert refuse("orders_place", Order, caught.value, given_).corrected == f'orders_place(amount="{meant}")'


@pytest.mark.parametrize("fee", ["1.0001", 2, "-0.1", "nan"])
def test_bounds_hold_for_decimals_too(fee: object) -> None:
    with pytest.raises(ValidationError):
        Order.model_validate({"amount": 1, "fee": fee})


def test_the_schema_offers_number_or_string_with_the_bounds_and_no_long_pattern() -> None:
    schema = Order.model_json_schema()["properties"]

    assert schema["amount"]["anyOf"] == [{"exclusiveMinimum": 0.0, "type": "number"}, {"type": "string"}]
    assert schema["fee"]["anyOf"] == [
        {"exclusiveMinimum": 0.0, "maximum": 1.0, "type": "number"},
        {"type": "string"},
    ]


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12))
def test_reported_money_is_exact_and_dumps_as_a_json_number(value: Decimal) -> None:
    digits = format(value, "f")

    read = MONEY.validate_python(from_wire(digits))
    assert read == value
    assert isinstance(json.loads(MONEY.dump_json(read)), int | float)


def test_nan_in_an_answer_reads_as_null() -> None:
    assert from_wire('{"sharpe": NaN, "roi": -Infinity, "n": 1.50}') == {"sharpe": None, "roi": None, "n": 1.5}


def test_the_wire_has_no_place_for_nan_or_strangers() -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_wire({"a": float("nan")})
    with pytest.raises(TypeError, match="object"):
        to_wire({"a": object()})
