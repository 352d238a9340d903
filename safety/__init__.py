"""What stands between an agent and real money. Its public face is what this module exports."""

from .mode import may_deliver, may_place, may_publish, may_subscribe, may_trade_by_itself

__all__ = ["may_deliver", "may_place", "may_publish", "may_subscribe", "may_trade_by_itself"]
