"""What every part of the gate stands on. The server builds it once; nothing here can be reached from a tool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safety.terms.channel import Channels

if TYPE_CHECKING:
    from pydantic import SecretStr

    from api.client import Client
    from safety.ledger import Ledger
    from safety.looking.judging import Judge
    from safety.sending.execution import Executor


@dataclass(frozen=True, slots=True)
class Footing:
    """One home, and what one client reaches.

    Attributes:
        home: Folder of the ledger, the policy and the HALT file.
        client: The service.
        channels: Say whose money an account holds.
        ledger: Of this home.
        judge: Looks and decides.
        executor: The only one who sends.
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
