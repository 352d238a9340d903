"""What stands between an agent and real money. Its public face is what this module exports."""

from .mode import may_place

__all__ = ["may_place"]
