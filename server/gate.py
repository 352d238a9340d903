"""Builds the gate of this process and its watcher, for the server and the command line."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from anyio import to_thread

from server.settings import Settings

if TYPE_CHECKING:
    from safety.gate import GateContext
    from safety.ledger import Ledger
    from safety.ledger.switch import Switch
    from safety.sending.watcher import Watcher
    from safety.terms.proposal import Money
    from server.channels import Reached


def build_gate_context(
    settings: Settings, reached: Reached, ledger: Ledger, now: Callable[[], float] = time.time
) -> GateContext:
    """A gate context for these settings. Imports heavy modules, so call it in a thread."""
    from safety.exits import know
    from safety.gate import GateContext
    from safety.gate.gathering import Gathering
    from safety.gate.judging import Judge
    from safety.sending.execution import OrderSender

    if settings.webhook_secret is not None:
        know(settings.webhook_secret.get_secret_value())
    client, channels = reached.client, reached.channels
    judge = Judge(
        settings.home,
        ledger,
        Gathering(client, now),
        channels,
        key_in_environment=settings.key_in_environment,
        started_by_client=not settings.stays,
    )
    return GateContext(
        home=settings.home,
        client=client,
        channels=channels,
        ledger=ledger,
        judge=judge,
        executor=OrderSender(client, ledger, judge, channels, now, webhook_secret=settings.webhook_secret),
        now=now,
        webhook_secret=settings.webhook_secret,
    )


def build_watcher(context: GateContext) -> Watcher:
    """The watcher for this context."""
    from safety.gate.halting import clean_up, watch_losses
    from safety.sending.reconciliation import Reconciler
    from safety.sending.watcher import Expiry, Watcher

    client, ledger, channels, now = context.client, context.ledger, context.channels, context.now

    async def standing_seconds(money: Money) -> float | None:
        loaded, _, _ = await to_thread.run_sync(context.judge.in_force)
        return loaded.policy.limits(money).standing_seconds

    async def follow_halt(_switch: Switch) -> Sequence[str]:
        return (await clean_up(context)).failed

    return Watcher(
        ledger=ledger,
        services=channels.services,
        executor=context.executor,
        reconciler=Reconciler(client, ledger, channels, now=now),
        expiry=Expiry(client, ledger, channels.services, standing_seconds, now),
        follow_halt=follow_halt,
        watch_losses=partial(watch_losses, context),
        now=now,
    )
