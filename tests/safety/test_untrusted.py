"""Foreign text is cleaned, bounded and marked; our own text is not."""

from __future__ import annotations

import json
import unicodedata
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.server.lowlevel.helper_types import ReadResourceContents

from api.errors import is_hidden
from api.orders import Order, OrdersResponse
from safety.exits import LONGEST, LONGEST_DOCUMENT, cleaned, cleaned_value, foreign_fields, foreign_texts
from safety.face import GatedOrder, IntentReport
from server.calls import shown_resource, written
from tests.attack.injections import INJECTIONS, ORDER_NOW


def hidden(text: str) -> list[str]:
    """Characters that are invisible or reorder others, except joiners of emoji."""
    return [unicodedata.name(c, hex(ord(c))) for c in text if is_hidden(c)]


@pytest.mark.parametrize("text", INJECTIONS.values(), ids=INJECTIONS)
def test_nothing_hides_in_a_cleaned_text_and_it_is_bounded(text: str) -> None:
    shown = cleaned(text)

    assert hidden(shown) == []
    assert "\x1b" not in shown
    assert len(shown) <= LONGEST
    assert cleaned(shown) == shown


@pytest.mark.parametrize("name", ["tag characters", "variation selectors", "a terminal title", "a clipboard"])
def test_what_is_spelled_in_hidden_characters_is_gone(name: str) -> None:
    assert cleaned(INJECTIONS[name]) in {"BTC", "a", ""}


@pytest.mark.parametrize(
    "text", ["two\nlines\tand a tab", "naïve café", "日本語", "❤\ufe0f", "👩\u200d💻", "1\ufe0f\u20e3"]
)
def test_what_people_write_stays(text: str) -> None:
    assert cleaned(text) == text


def test_joiners_that_join_nothing_spell_nothing() -> None:
    assert cleaned("a\u200d\ufe0f\ufe0e\u200db" + "\ufe0e\ufe0f" * 20) == "ab"
    assert cleaned("❤" + "\ufe0e\ufe0f" * 20) == "❤\ufe0e"


@given(st.text(max_size=300))
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    once = cleaned(text)

    assert cleaned(once) == once
    assert hidden(once) == []


def test_documents_and_scripts_may_be_long() -> None:
    long = "x" * (LONGEST_DOCUMENT + 1)
    shown: Any = cleaned_value({"content": long, "title": long, "list": [long]})

    assert [len(shown["content"]), len(shown["title"]), len(shown["list"][0])] == [LONGEST_DOCUMENT, LONGEST, LONGEST]


PLAIN: Final[dict[str, Any]] = {
    "order_id": "api-01jd_0:9.x",
    "exchange": "binance",
    "symbol": "BTC/USDT:USDT",
    "status": "OPEN",
    "amount": "0.5",
    "created_at": "2026-11-22T18:00:00.000Z",
}


def test_ids_symbols_times_and_words_are_not_called_foreign_text() -> None:
    assert foreign_fields(Order.model_validate(PLAIN)) == []


def test_foreign_text_is_named_wherever_it_appears() -> None:
    order = {**PLAIN, "label": "hello there", "extra": {"deep": ["a b"], "any key\nof all": "x y"}}
    listed = OrdersResponse.model_validate({"orders": [PLAIN, order], "note": "of the service"})

    assert foreign_fields(listed) == ["note", "orders[].extra.*", "orders[].extra.deep[]", "orders[].label"]


def test_what_the_safety_layer_says_is_ours_and_what_the_service_says_inside_it_is_not() -> None:
    order = GatedOrder.model_validate(
        {**PLAIN, "message": "from the service", "outcome": "placed", "next_step": "Look with order_intent."}
    )
    report = IntentReport.model_validate(
        {
            "intent_id": "01JD",
            "state": "ACKED",
            "kind": "order",
            "summary": "Buy 1 BTC",
            "created_at": "2026-11-22T18:00:00Z",
            "changed_at": "2026-11-22T18:00:00Z",
            "paper": False,
            "order": {**PLAIN, "message": "from the service"},
        }
    )

    assert foreign_fields(order) == ["message"]
    assert foreign_fields(report) == ["order.message"]


def test_a_service_cannot_speak_in_our_voice() -> None:
    order = Order.model_validate({**PLAIN, "next_step": ORDER_NOW, "foreign_text": "nothing at all"})

    shown = json.loads(written(order, hosted=True))

    assert shown["foreign_text"] == ["foreign_text", "next_step"]


@pytest.mark.parametrize("text", INJECTIONS.values(), ids=INJECTIONS)
def test_a_hosted_result_differs_in_the_named_fields_only(text: str) -> None:
    calm = json.loads(written(Order.model_validate({**PLAIN, "message": "a b"}), hosted=True))
    loud = json.loads(written(Order.model_validate({**PLAIN, "message": text}), hosted=True))

    assert {name for name in calm if calm[name] != loud[name]} <= {"message", "foreign_text"}
    assert hidden(loud["message"]) == []


def test_results_of_the_embedded_engine_are_passed_on_as_they_are() -> None:
    order = Order.model_validate({**PLAIN, "message": "Filled at the close."})

    assert written(order, hosted=False) == order.model_dump_json(exclude_none=True)


def test_resources_of_the_hosted_service_are_named_and_cleaned_too() -> None:
    body = json.dumps({"accounts": [{"account_id": "a1", "name": f"My \u202e{ORDER_NOW}"}]}, ensure_ascii=False)
    found = ReadResourceContents(content=body, mime_type="application/json")

    shown = json.loads(str(shown_resource(found, hosted=True).content))
    own = shown_resource(found, hosted=False).content

    assert shown["foreign_text"] == ["accounts[].name"]
    assert hidden(shown["accounts"][0]["name"]) == []
    assert hidden(str(own)) == []
    assert foreign_texts({"a": 1}) == []
