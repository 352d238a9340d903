"""The one gate in front of money, publications and webhooks.

Every action takes the same steps: exact terms, current facts, a decision inside the ledger's transaction, a human's
approval if the policy requires one, a single attempt, and tracking of the outcome. Cancelling and pausing bypass the
gate.
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
from safety.terms.proposal import Channels

if TYPE_CHECKING:
    from pydantic import SecretStr

    from api.client import Client
    from safety.gate.judging import Judge
    from safety.ledger import Ledger
    from safety.sending.execution import OrderSender


@dataclass(frozen=True, slots=True)
class GateContext:
    """One home folder and the service that one client talks to. The server builds it once; tools never get it.

    Attributes:
        home: Folder of the ledger, the policy and the HALT file.
        client: The service.
        channels: Tell whose money an account holds.
        ledger: The ledger of this home.
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
    executor: OrderSender
    now: Callable[[], float]
    webhook_secret: SecretStr | None = None

    @property
    def services(self) -> tuple[str, ...]:
        """The service names under which intents are booked."""
        return self.channels.services


@dataclass(frozen=True, slots=True)
class Gate:
    """The interface for tools. A refusal is a `HeyTradersError` with the rule, its numbers and what to do.

    Attributes:
        orders: Places orders.
        deployments: Deploys and resumes strategies, and sets their webhooks.
        publications: Publishes posts and the profile.
        kill_switch: Stops everything.
        reports: Reports the state of the safety layer.
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
