"""Live strategies: deployed, evaluated bar by bar, and traded through one door. Settings of the runner."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """Settings of the runner.

    Attributes:
        poll_seconds: Seconds of machine time between two checks for new bars.
        webhooks_to_loopback: For development: allow delivery to this machine, also without TLS.
        webhook_seconds: Time limit of one delivery in total.
        stays: Whether this process outlives its clients; it then takes over the strategies from a client's server.
        in_background: Whether an open engine runs the strategies itself; otherwise its owner calls `tick`.
    """

    poll_seconds: float = 1.0
    webhooks_to_loopback: bool = False
    webhook_seconds: float = 10.0
    stays: bool = False
    in_background: bool = True
