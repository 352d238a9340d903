"""The one gate between tools and money, the public and strangers' addresses.

Every way through it has the same steps: exact terms, a look at the world, a decision inside the ledger's transaction, a
human where the policy requires one, one attempt, and a watch over the outcome. Cancelling and pausing never come here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from safety.gate.deployments import Deployments, Publications
from safety.gate.halting import KillSwitch
from safety.gate.orders import Orders
from safety.gate.status import Reports
from safety.terms.channel import Channels

if TYPE_CHECKING:
    from pydantic import SecretStr

    from api.client import Client
    from safety.gate.judging import Judge
    from safety.ledger import Ledger
    from safety.sending.execution import Executor


@dataclass(frozen=True, slots=True)
class GateContext:
    """One home, and what one client reaches. The server builds it once; no tool is handed it.

    Attributes:
        home: Folder of the ledger, the policy and the HALT file.
        client: The service.
        channels: Say whose money an account holds.
        ledger: Of this home.
        judge: Reads the facts and applies the policy.
        executor: The only sender.
        now: Unix seconds.
        webhook_secret: Signs deliveries of the hosted service; the user's, never a model's.
    """

    home: Path
    client: Client
    channels: Channels
    ledger: Ledger
    judge: Judge
    executor: Executor
    now: Callable[[], float]
    webhook_secret: SecretStr | None = None

    @property
    def services(self) -> tuple[str, ...]:
        """The names under which intents are booked here."""
        return self.channels.services


@dataclass(frozen=True, slots=True)
class Gate:
    """What tools are handed. A refusal is a `HeyTradersError` with the rule, its numbers and what to do.

    Attributes:
        orders: Places orders.
        deployments: Deploys and resumes strategies, and sets where they report to.
        publications: Publishes posts and the profile.
        kill_switch: Stops everything.
        reports: Says how things are.
    """

    orders: Orders
    deployments: Deployments
    publications: Publications
    kill_switch: KillSwitch
    reports: Reports

    @classmethod
    def of(cls, context: GateContext) -> Self:
        """The gate of a context."""
        return cls(Orders(context), Deployments(context), Publications(context), KillSwitch(context), Reports(context))
