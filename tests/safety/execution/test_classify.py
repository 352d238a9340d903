"""What each answer proves, line by line. Only proof counts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.transport import Answer, Lost, NotSent
from safety.sending.execution import classify
from safety.terms.intent import IntentState
from safety.terms.proposal import DeploymentTerms, PublicationTerms

from .conftest import ORDER, row

LABEL = "htm1:01ARZ3NDEKTSV4RRFFQ69G5FAV:0123456789abcdef:0123456789ab"
REFUSED = ("VALIDATION_ERROR", "INVALID_API_KEY", "EXPIRED_API_KEY", "INSUFFICIENT_PERMISSIONS")
UNPROVEN = ("RATE_LIMITED", "INTERNAL_ERROR", "DATA_UNAVAILABLE", "ORDER_NOT_FOUND", "A_NEW_CODE", "validation_error")


def success(data: object) -> bytes:
    return json.dumps({"success": True, "data": data, "error": None, "meta": {}}).encode()


def failure(code: object, **data: Any) -> bytes:
    error = {"code": code, "message": "no", "suggestion": "yes"}
    return json.dumps({"success": False, "data": data or None, "error": error, "meta": {}}).encode()


def state(status: int, body: bytes, *, trusted: bool = False) -> IntentState:
    return classify(ORDER, Answer(status, body, None, ""), LABEL, trusted=trusted).state


@pytest.mark.parametrize("status", [200, 201, 202])
def test_an_order_id_and_our_own_terms_are_an_acknowledgement(status: int) -> None:
    found = classify(ORDER, Answer(status, success(row(label=LABEL)), None, ""), LABEL, trusted=False)

    assert (found.state, found.order_id) == ("ACKED", "api-1")
    assert found.result is not None
    assert found.result["status"] == "OPEN"


@pytest.mark.parametrize("told", [{"order_id": "api-1"}, {"exchange_order_id": "77"}])
def test_what_an_answer_does_not_repeat_is_taken_as_it_was_sent(told: dict[str, str]) -> None:
    assert state(200, success(told)) == "ACKED"


@pytest.mark.parametrize(
    "fields",
    [
        {"order_id": None},
        {"order_id": ""},
        {"order_id": ["api-1"]},
        {"label": "htm1:other:home"},
        {"account_id": "acc-2"},
        {"exchange": "upbit"},
        {"symbol": "ETH/USDT"},
        {"side": "sell"},
        {"order_type": "market"},
        {"amount": 0.002},
        {"amount": 0.00102},
        {"amount": "NaN"},
        {"price": 51_000},
    ],
)
def test_an_answer_about_another_order_proves_nothing(fields: dict[str, Any]) -> None:
    assert state(200, success(row(**fields))) == "UNKNOWN"


@pytest.mark.parametrize(
    "fields",
    [
        {"amount": 0.00101},
        {"amount": "0.00099"},
        {"price": 50_500},
        {"side": "BUY"},
        {"symbol": "BTCUSDT"},
        {"order_type": "GTC"},
    ],
)
def test_an_exchange_may_round_to_its_steps_and_write_in_its_own_way(fields: dict[str, Any]) -> None:
    assert state(200, success(row(**fields))) == "ACKED"


@pytest.mark.parametrize("code", REFUSED)
@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 422])
def test_a_documented_refusal_is_a_rejection(status: int, code: str) -> None:
    found = classify(ORDER, Answer(status, failure(code), None, ""), LABEL, trusted=False)

    assert found.state == "REJECTED"
    assert found.reason.startswith(f"{code}: ")


@pytest.mark.parametrize("code", REFUSED)
@pytest.mark.parametrize("status", [301, 408, 409, 429, 500, 502, 503, 504])
def test_a_refusal_with_a_status_that_may_come_from_elsewhere_proves_nothing(status: int, code: str) -> None:
    assert state(status, failure(code)) == "UNKNOWN"


@pytest.mark.parametrize("code", UNPROVEN)
@pytest.mark.parametrize("status", [200, 400, 404, 429, 500])
def test_any_other_failure_proves_nothing(status: int, code: str) -> None:
    assert state(status, failure(code)) == "UNKNOWN"


def test_a_refusal_that_names_an_order_proves_nothing() -> None:
    assert state(400, failure("VALIDATION_ERROR", order_id="api-1")) == "UNKNOWN"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        b"{}",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"success": false}',
        b'{"success": "false", "error": {"code": "VALIDATION_ERROR"}}',
        b'{"success": true, "data": null}',
        b'{"success": true, "data": [1]}',
        b'{"success": false, "error": {"code": 7}}',
        b"\xff\xfe",
    ],
)
@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 413, 422, 429, 500])
def test_what_cannot_be_read_proves_nothing(status: int, body: bytes) -> None:
    assert state(status, body) == "UNKNOWN"


@pytest.mark.parametrize("status", [300, 307])
def test_a_success_with_a_redirecting_status_proves_nothing(status: int) -> None:
    assert state(status, success(row())) == "UNKNOWN"


def test_without_a_connection_nothing_was_sent_and_with_a_lost_one_nobody_knows() -> None:
    assert classify(ORDER, NotSent("no connection"), LABEL, trusted=False).state == "NOT_SENT"
    assert classify(ORDER, Lost("broke off"), LABEL, trusted=False).state == "UNKNOWN"


def test_our_own_engine_is_believed_whatever_it_refuses_with() -> None:
    assert state(404, failure("DATA_UNAVAILABLE"), trusted=True) == "REJECTED"
    assert state(500, failure("INTERNAL_ERROR"), trusted=True) == "UNKNOWN"


DEPLOY = DeploymentTerms(action="subscribe", strategy_id="rsi", account_id="acc-1")
RESUME = DeploymentTerms(action="resume", strategy_id="rsi", account_id="acc-1", subscription_id="sub-1")
POST = PublicationTerms(action="post", body="{}")


@pytest.mark.parametrize(
    ("action", "data", "expected", "order_id"),
    [
        (DEPLOY, {"subscription_id": "sub-1", "account_id": "acc-1"}, "ACKED", "sub-1"),
        (DEPLOY, {"subscription_id": "sub-1", "account_id": "acc-2"}, "UNKNOWN", None),
        (DEPLOY, {"status": "active"}, "UNKNOWN", None),
        (RESUME, {"subscription_id": "sub-1"}, "ACKED", "sub-1"),
        (RESUME, {"subscription_id": "sub-2"}, "UNKNOWN", None),
        (POST, {"post_id": "p-1"}, "ACKED", None),
        (PublicationTerms(action="profile", body="{}"), {"display_name": "x"}, "ACKED", None),
    ],
)
def test_standing_authorities_and_publications_are_known_by_their_ids(
    action: DeploymentTerms | PublicationTerms, data: dict[str, str], expected: IntentState, order_id: str | None
) -> None:
    found = classify(action, Answer(200, success(data), None, ""), "", trusted=False)

    assert (found.state, found.order_id) == (expected, order_id)


SHOWN: dict[str, st.SearchStrategy[Any]] = {
    "order_id": st.text(max_size=3),
    "amount": st.floats(),
    "side": st.just("sell"),
}
ENVELOPES = st.fixed_dictionaries(
    {},
    optional={
        "success": st.sampled_from([True, False, None, "true", 1]),
        "data": st.none() | st.fixed_dictionaries({}, optional=SHOWN),
        "error": st.none() | st.fixed_dictionaries({}, optional={"code": st.sampled_from([*REFUSED, *UNPROVEN])}),
    },
)
BODIES = st.binary(max_size=40) | ENVELOPES.map(lambda envelope: json.dumps(envelope).encode())


@settings(max_examples=500)
@given(status=st.integers(100, 599), body=BODIES)
def test_whatever_comes_only_proof_moves_an_order_out_of_doubt(status: int, body: bytes) -> None:
    found = state(status, body)

    if found == "ACKED":
        envelope = json.loads(body)
        assert 200 <= status < 300
        assert envelope["success"] is True
        assert envelope["data"]["order_id"]
    elif found == "REJECTED":
        envelope = json.loads(body)
        assert envelope["success"] is False
        assert envelope["error"]["code"] in REFUSED
        assert status // 100 in {2, 4}
        assert status not in {408, 409, 429}
    else:
        assert found == "UNKNOWN"
