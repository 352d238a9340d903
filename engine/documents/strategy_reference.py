"""The parameters of the ready strategies as tables, from the models that check them."""

from __future__ import annotations

from typing import Final

from api.strategies import PARAMETERS

from .schema_rows import rows

_OPENING: Final = """### Ready strategies

`dca`, `grid`, `pair_trading` and `cross_sectional` write their script from parameters, which stand beside the others in
the body (tools take them as the object `parameters`). The result shows the script; start from it to change what the
parameters cannot. `cross_sectional` also takes a `script` that gives `alpha`, the number to rank the universe by.
A market that cannot be sold short trades the long side only, and the result says so."""


def render() -> str:
    """One table for each strategy that has parameters."""
    parts = [_OPENING]
    for strategy, model in PARAMETERS.items():
        if strategy == "signal":
            continue
        lines = [
            f"| `{row.path}` | {row.type.replace('|', '&#124;')} | {'yes' if row.required else 'no'} | "
            f"{f'`{row.default}`' if row.default else ''} | {row.description} |"
            for row in rows(model.model_json_schema())
        ]
        head = ["| Parameter | Type | Required | Default | Description |", "|---|---|---|---|---|"]
        parts.append("\n".join([f"**{strategy}**: {(model.__doc__ or '').strip()}", "", *head, *lines]))
    return "\n\n".join(parts)
