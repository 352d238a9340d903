"""The user's policy: its default limits, and the ceilings that nobody can lift.

The numbers in `LIVE` suit a small private account; a human may change them with a signature. No policy, signed or not,
can exceed `CEILINGS`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field

from safety.policy.limits import Limits, Tighter, Usd, meet
from safety.terms.channel import Money
from safety.terms.proposal import canonical_json

PAPER: Final = Limits()
"""Simulated money: no limits, until the user wants to rehearse with some."""

LIVE: Final = Limits(
    trading=False,
    accounts=frozenset(),
    market_types=frozenset({"spot"}),
    symbols=frozenset(),
    order_types=frozenset({"limit", "GTC", "FOK"}),
    max_amount={},
    max_notional=Decimal(50),
    collar=Decimal("0.02"),
    collar_major=Decimal("0.01"),
    collar_probability=Decimal("0.05"),
    quote_age=75,
    max_leverage=1,
    daily_notional=Decimal(200),
    daily_count=20,
    seconds_between=5,
    per_minute=5,
    duplicate_seconds=120,
    repeat_seconds=120,
    open_orders=10,
    open_orders_symbol=3,
    position_usd=Decimal(200),
    position_share=Decimal("0.10"),
    exposure_share=Decimal("0.25"),
    daily_loss_usd=Decimal(50),
    daily_loss_share=Decimal("0.05"),
    drawdown_share=Decimal("0.15"),
    no_self_trade=True,
    rearm_after=5,
    cooldown_failures=3,
    halt_failures=6,
    one_unresolved=True,
    halt_unresolved=3,
    check_funds=True,
    clock_skew=5,
    snapshot_age=15,
    ask_a_human=True,
    automatic_up_to=Decimal(0),
    elicitation_up_to=Decimal(0),
    ask_for_standing=True,
    max_standing=1,
    standing_seconds=7 * 86_400,
    webhook_hosts=frozenset(),
    public_webhooks=True,
    ask_to_publish=True,
)
"""Real money before the first signature: nothing trades. Fields that a signed policy leaves out keep these values."""


CEILINGS: Final = Limits(
    max_notional=Decimal(1_000),
    collar=Decimal("0.10"),
    collar_major=Decimal("0.10"),
    collar_probability=Decimal("0.20"),
    quote_age=90,
    max_leverage=3,
    daily_notional=Decimal(5_000),
    daily_count=1_000,
    per_minute=60,
    open_orders=200,
    open_orders_symbol=200,
    daily_loss_share=Decimal("0.50"),
    drawdown_share=Decimal("0.75"),
    rearm_after=100,
    cooldown_seconds=0,
    halt_failures=20,
    one_unresolved=True,
    halt_unresolved=10,
    clock_skew=30,
    snapshot_age=60,
    ask_a_human=True,
    automatic_up_to=Decimal(250),
    elicitation_up_to=Decimal(25),
    ask_for_standing=True,
    max_standing=5,
    standing_seconds=30 * 86_400,
    public_webhooks=True,
    ask_to_publish=True,
)
"""Maximum values for real money, whatever is signed. `None` leaves a limit to the signer."""


class Policy(BaseModel):
    """What the user allows.

    Attributes:
        paper: For simulated money.
        live: For real money. Loosening anything here counts only once a human has signed it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    paper: Limits = PAPER
    live: Limits = LIVE
    typed_amount_above: Annotated[Usd, Tighter.LOWER] = Field(
        default=Decimal(100), description="USD of an order above which the approver types the amount."
    )
    separate_user: Annotated[bool, Tighter.FALSE] = Field(
        default=False, description="The signer's word: the server runs under another user or host than the agent."
    )

    def limits(self, money: Money) -> Limits:
        """The limits for one kind of money; for real money they are capped by `CEILINGS`."""
        return self.paper if money == "paper" else self.below_ceilings

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy without values cached from the old fields."""
        copied = super().model_copy(update=update, deep=deep)
        for computed in ("below_ceilings", "hash"):
            vars(copied).pop(computed, None)
        return copied

    @cached_property
    def below_ceilings(self) -> Limits:
        """The limits for real money, capped by `CEILINGS`."""
        return meet(self.live, CEILINGS)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over the canonical form, hexadecimal."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return hashlib.sha256(canonical_json(_plain(fields)).encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, frozenset):
        return sorted(map(str, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return value
