"""What a script computes, as one value that two spellings of it share, and the script that a refusal corrects it to."""

from __future__ import annotations

from typing import Final

from engine.language import ScriptContext, check_script, compile_script
from engine.language.graph import Node
from engine.language.values import IntentPlan
from tests.engine.language.dsl_markets import BTC, ETH

CONTEXT: Final = ScriptContext((BTC, ETH))


def _shape(node: Node) -> object:
    """What a node computes, whatever names the script uses."""
    return node.op, str(node.payload), tuple(_shape(each) for each in node.args)


def _intent(intent: IntentPlan) -> object:
    """All of an intent: how much, its stops and its other options."""
    size = None if intent.size is None else (intent.size.kind, _shape(intent.size.value))
    options = {name: _shape(node) for name, node in intent.options.items() if node is not None}
    return intent.kind, intent.side, intent.ticker.payload, size, options, intent.tag


def meaning(script: str) -> list[object]:
    """The conditions and intents of a script."""
    plan = compile_script(script, CONTEXT).plan
    return [(_shape(e.condition), [_intent(i) for i in e.intents]) for e in plan.emissions]


def corrected(script: str) -> str:
    """The script that the refusal of a wrong one offers."""
    report = check_script(script, CONTEXT)
    assert not report.ok
    assert report.fixed is not None, [str(d) for d in report.diagnostics]
    return report.fixed
