"""The cost of the tool list in o200k tokens: name, description and input schema of every tool, which all hosts give to
their model, and the result schemas, which some hosts also give.

The baseline is the SDK's default description of the same tools from the same models: with `$defs`, titles and null
alternatives. It fails if a budget is exceeded.
"""

from __future__ import annotations

import json
import sys
import warnings
from functools import cache
from typing import Any

from tools.snapshot import load
from tools.surface import exposed

TOTAL_BUDGET = 8_000
TOOL_BUDGET = 450
RESULTS_BUDGET = 9_000


def model_tokens(name: str, description: str, schema: dict[str, Any]) -> int:
    """The text that a host gives to its model for one tool."""
    return tokens({"name": name, "description": description, "inputSchema": schema})


def tokens(shown: dict[str, Any]) -> int:
    """The number of tokens in a JSON object."""
    return len(_o200k().encode(json.dumps(shown, separators=(",", ":"), ensure_ascii=False)))


@cache
def _o200k() -> Any:
    """The vocabulary, from a wheel that ships it. Its loader uses a deprecated call, which this project cannot fix."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from bpe_openai import get_encoding

        return get_encoding("o200k_base")


def main() -> int:
    """Print a line per tool and the sums."""
    total = plain_total = results = 0
    over: list[str] = []
    for row in exposed():
        served = load(row.name)
        cost = model_tokens(row.name, served["description"], served["inputSchema"])
        plain = model_tokens(row.name, row.description, row.operation().request.model_json_schema())
        result = tokens(served["outputSchema"])
        total, plain_total, results = total + cost, plain_total + plain, results + result
        over += [row.name] if cost > TOOL_BUDGET else []
        print(f"{row.name:<28} {cost:>5}   plain pydantic schema {plain:>5}   result {result:>5}")
    print(f"{'all tools':<28} {total:>5}   plain pydantic schemas {plain_total:>5}   budget {TOTAL_BUDGET}")
    print(f"{'result schemas':<28} {results:>5}   budget {RESULTS_BUDGET}")
    over += ["the sum"] if total > TOTAL_BUDGET else []
    over += ["the result schemas"] if results > RESULTS_BUDGET else []
    if over:
        print(f"over budget: {', '.join(over)}", file=sys.stderr)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
