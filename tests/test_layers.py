"""Who may import whom, as `pyproject.toml` states it."""

from __future__ import annotations

from pathlib import Path

from importlinter.cli import lint_imports


def test_no_layer_reaches_where_it_must_not() -> None:
    assert lint_imports(config_filename=str(Path(__file__).parents[1] / "pyproject.toml"), no_cache=True) == 0
