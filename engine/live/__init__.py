"""Live strategies: deployed, decided bar by bar, traded through one door. Here: how they are run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """Settings of the runner.

    Attributes:
        poll_seconds: Seconds of the machine's time between two looks at the bars.
        webhooks_to_loopback: For development: deliver to this machine too, also without TLS.
        webhook_seconds: What one delivery may take in all.
        stays: Whether this process goes on when clients end; it then runs the strategies rather than a client's server.
        in_background: Whether an open engine runs the strategies by itself; otherwise its owner calls `tick`.
    """

    poll_seconds: float = 1.0
    webhooks_to_loopback: bool = False
    webhook_seconds: float = 10.0
    stays: bool = False
    in_background: bool = True
