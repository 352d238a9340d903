"""heytraders-mcp: the HeyTraders API as tools for AI agents."""

from __future__ import annotations

from functools import cache


@cache
def package_version() -> str:
    """The installed version."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("heytraders-mcp")
    except PackageNotFoundError:
        return "0+unknown"
