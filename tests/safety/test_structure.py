"""Guarantees from the shape of the tools alone: no argument can be an approval, and read-only tools change nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast, get_type_hints

import pytest

from api.catalogue import ENDPOINTS, endpoint
from safety.gate import Gate
from safety.gate.deployments import Deployments, Publications
from safety.gate.halting import KillSwitch
from safety.gate.orders import Orders
from safety.gate.status import Reports
from tools.declaration import EndpointTool
from tools.snapshot import load
from tools.surface import TOOLSETS, Toolset, exposed

HUMANS_WORD: Final = re.compile(
    r"(confirm|ack(nowledge)?|approv|force|override|token|pin$|totp|otp$|consent|sign(ed|ature))"
)
ASKING: Final = {
    "market_evaluate",
    "market_scan",
    "market_rank",
    "market_correlation",
    "backtest_compare",
    "backtest_report",
}
"""Endpoints that read and are POST, since their questions are long."""


def properties(schema: Any) -> Iterator[str]:
    """Every property name in a schema, at any depth."""
    if isinstance(schema, list):
        for item in cast("list[Any]", schema):
            yield from properties(item)
    if isinstance(schema, dict):
        for key, value in cast("dict[str, Any]", schema).items():
            if key == "properties":
                yield from value
            yield from properties(value)


@pytest.mark.parametrize("name", [row.name for row in exposed()])
def test_no_argument_at_any_depth_could_pass_for_a_humans_word(name: str) -> None:
    words = {word for argument in properties(load(name)["inputSchema"]) for word in argument.split("_")}

    assert [word for word in words if HUMANS_WORD.match(word)] == []


def test_what_agents_reach_knows_the_safety_layer_by_its_face_alone() -> None:
    """So no tool, resource or prompt can call anything that approves, signs, releases or sends."""
    root = Path(__file__).parents[2]
    reached = {
        module
        for folder in ("tools", "resources", "prompts")
        for path in (root / folder).rglob("*.py")
        for module in imported(ast.parse(path.read_text(encoding="utf-8")))
        if module.split(".")[0] == "safety"
    }

    assert reached == {"safety.face", "safety.terms.intent.LABEL_PREFIX"}


def imported(tree: ast.Module) -> Iterator[str]:
    """The imports of a module, down to single names if they come from a module other than `safety.face`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            whole = node.module == "safety.face"
            yield from {node.module if whole else f"{node.module}.{alias.name}" for alias in node.names}


def test_the_gate_hands_out_nothing_to_approve_release_or_send() -> None:
    parts = (Orders, Deployments, Publications, KillSwitch, Reports)
    offered = {name for part in (Gate, *parts) for name in vars(part) if not name.startswith("_")} - {"of"}

    assert get_type_hints(Gate).keys() == {"orders", "deployments", "publications", "kill_switch", "reports"}

    assert [name for name in offered if re.search(r"approve|sign|release|send|execute|claim|policy_file", name)] == []


@pytest.mark.parametrize("toolset", TOOLSETS)
def test_what_is_left_when_only_reading_reads(toolset: Toolset) -> None:
    for row in exposed((toolset,), read_only=True):
        assert load(row.name)["annotations"]["readOnlyHint"] is True
        if isinstance(row, EndpointTool):
            declared = endpoint(row.name)
            assert declared.method == "GET" or row.name in ASKING
            assert not declared.at_most_once


def test_a_tool_that_says_it_reads_does_not_call_what_needs_the_scope_trade() -> None:
    trading = {declared.name for declared in ENDPOINTS if declared.scope == "trade"}

    assert trading == {"orders_place", "orders_cancel"}
    assert trading.isdisjoint(row.name for row in exposed(read_only=True))


def test_every_endpoint_that_places_an_order_or_publishes_is_sent_at_most_once() -> None:
    assert {"orders_place", "live_subscribe", "live_resume", "arena_post"} <= {
        declared.name for declared in ENDPOINTS if declared.at_most_once
    }
