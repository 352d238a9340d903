"""Imports every module that declares tables, so that `metadata.create_all` knows them all."""

from __future__ import annotations

from . import access, arena, backtests, broker, candles, live
from .metadata import metadata

__all__ = ["access", "arena", "backtests", "broker", "candles", "live", "metadata"]
