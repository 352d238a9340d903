"""What every part of the gate stands on. The server builds it once; nothing here can be reached from a tool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safety.terms.proposal import Backend

if TYPE_CHECKING:
    from pydantic import SecretStr

    from api.client import Client
    from safety.ledger import Ledger
    from safety.looking.judging import Judge
    from safety.sending.execution import Executor


@dataclass(frozen=True, slots=True)
class Footing:
    """One home, one service.

    Attributes:
        home: Folder of the ledger, the policy and the HALT file.
        client: The service.
        backend: Which of the two it is.
        service: Its base URL, or "embedded".
        ledger: Of this home.
        judge: Looks and decides.
        executor: The only one who sends.
        now: Unix seconds.
        webhook_secret: Signs deliveries of the hosted service; the user's, never a model's.
    """

    home: Path
    client: Client
    backend: Backend
    service: str
    ledger: Ledger
    judge: Judge
    executor: Executor
    now: Callable[[], float]
    webhook_secret: SecretStr | None = None
