"""Whether things work: failures, unknown outcomes, clocks, the service and what was read of it. R23, R24, R26, R27."""

from __future__ import annotations

from typing import Final

from .case import Case, Missing, Objection, deny, rule, seconds

_HALTED: Final = "Stop and tell the user; only `heytraders-mcp release` lets it go on"


@rule("R23_FAILURES")
def failures(case: Case) -> Objection | None:
    """Failures in a row: first a pause, then a halt."""
    limits, usage = case.limits, case.facts.usage
    failed = usage.failures_in_a_row
    if limits.halt_failures is not None and failed >= limits.halt_failures:
        return deny(
            f"{failed} orders in a row failed; {limits.halt_failures} halt all trading",
            _HALTED,
            limit=str(limits.halt_failures),
            observed=str(failed),
            unit="failures",
        )
    if limits.cooldown_failures is None or failed < limits.cooldown_failures:
        return None
    if usage.last_failure_age is not None and usage.last_failure_age >= limits.cooldown_seconds:
        return None
    left = limits.cooldown_seconds - (usage.last_failure_age or 0)
    return deny(
        f"{failed} orders in a row failed, so there is a pause of {limits.cooldown_seconds} s",
        "Find out why with orders_list before the next order",
        limit=str(limits.cooldown_failures),
        observed=str(failed),
        unit="failures",
        resets_at=case.facts.now + left,
    )


@rule("R24_UNRESOLVED")
def unresolved(case: Case) -> Objection | None:
    """Orders whose outcome is unknown: none else on that account and symbol, and too many of them halt.

    Where the service does not return labels, an order that is being sent counts too: two could not be told apart.
    """
    limits, usage = case.limits, case.facts.usage
    if limits.halt_unresolved is not None and usage.unknown_anywhere >= limits.halt_unresolved:
        return deny(
            f"the outcome of {usage.unknown_anywhere} orders is unknown; {limits.halt_unresolved} halt all trading",
            _HALTED,
            limit=str(limits.halt_unresolved),
            observed=str(usage.unknown_anywhere),
            unit="orders",
        )
    if not limits.one_unresolved:
        return None
    unclear = usage.unknown_here + (0 if case.facts.labels_echoed else usage.in_flight_here)
    if not unclear:
        return None
    return deny(
        "the outcome of an earlier order on this account and symbol is not known yet",
        "Look it up with order_intent; it may exist, so never place it again",
        limit="0",
        observed=str(unclear),
        unit="orders",
    )


@rule("R26_CLOCK", "order", "standing")
def clock(case: Case) -> Objection | None:
    """This clock against the service's, and against the ledger's past."""
    allowed, skew = case.limits.clock_skew, case.facts.clock_skew
    if allowed is None:
        return None
    if case.facts.usage.clock_went_back:
        return deny("this clock is behind the ledger's last entry", "The user sets the computer's clock right")
    if skew is None:
        raise Missing("the service's time is not known")
    if abs(skew) <= allowed:
        return None
    return deny(
        f"this clock is {seconds(abs(skew))} s off the service's; {allowed} s are allowed",
        "The user sets the computer's clock right",
        limit=str(allowed),
        observed=seconds(abs(skew)),
        unit="s",
    )


@rule("R27_UPSTREAM")
def upstream(case: Case) -> Objection | None:
    """The service answers, and the account was read lately."""
    allowed = case.limits.snapshot_age
    if allowed is None:
        return None
    if not case.facts.upstream_healthy:
        return deny("the service does not answer reliably at the moment", "Try again later; meta_health says more")
    if case.account.age <= allowed:
        return None
    return deny(
        f"the account was read {seconds(case.account.age)} s ago, and that counts for {allowed} s",
        "Try again",
        limit=str(allowed),
        observed=seconds(case.account.age),
        unit="s",
    )
