"""Rules for every declaration. `conformance` compares paths, parameters and defaults with the document."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest

from api.catalogue import ENDPOINTS, endpoint
from api.endpoint import Endpoint
from api.errors import BY_CODE, HTTP_STATUS, ErrorCode

DOCUMENTED_FIELDS: dict[str, dict[str, Any]] = {
    "meta_register": {"api_key": "ht_prov_0123456789"},
    "backtest_execute": {"backtest_id": "bt_1"},
    "backtest_status": {"status": "queued"},
    "backtest_results": {"metrics": {}},
    "script_check": {"valid": True},
}


@pytest.mark.parametrize(
    ("name", "scope"),
    [
        ("market_scan", "research"),
        ("backtest_execute", "research"),
        ("arena_post", "research"),
        ("accounts_balances", "read"),
        ("orders_list", "read"),
        ("orders_place", "trade"),
        ("orders_cancel", "trade"),
    ],
)
def test_scopes_follow_their_descriptions(name: str, scope: str) -> None:
    assert endpoint(name).scope == scope


@pytest.mark.parametrize("declared", ENDPOINTS, ids=lambda e: e.name)
def test_a_declaration_is_complete(declared: Endpoint[Any, Any]) -> None:
    assert re.fullmatch(r"[a-z_]{1,40}", declared.name)
    assert declared.summary.endswith(".")
    assert set(declared.path_fields) <= set(declared.request.model_fields)
    assert all(field.description for field in declared.request.model_fields.values())
    assert declared.request.model_config.get("extra") == "forbid"
    assert declared.response.model_config.get("extra") == "allow"


@pytest.mark.parametrize("declared", ENDPOINTS, ids=lambda e: e.name)
def test_an_empty_answer_of_the_hosted_service_is_enough_where_no_body_is_documented(
    declared: Endpoint[Any, Any],
) -> None:
    answer = declared.response.model_validate({"something_new": [1], **DOCUMENTED_FIELDS.get(declared.name, {})})

    assert answer.model_dump()["something_new"] == [1]


@pytest.mark.parametrize(
    "name", ["orders_place", "live_subscribe", "live_resume", "arena_post", "backtest_execute", "meta_register"]
)
def test_what_must_not_happen_twice_is_sent_at_most_once(name: str) -> None:
    assert endpoint(name).at_most_once


def test_every_code_has_a_class_and_a_status() -> None:
    assert set(get_args(ErrorCode)) == set(BY_CODE) == set(HTTP_STATUS)
