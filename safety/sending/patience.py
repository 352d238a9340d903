"""How long the outcome of an attempt is looked for, and how often."""

from __future__ import annotations

from dataclasses import dataclass

from safety.terms.intent import Intent


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds, but for `sweeps`.

    Attributes:
        exchange: Longest time that an attempt can take; one that is older has lost its process.
        grace: After an outcome became unknown, before it may be taken for absent.
        sweeps: Complete looks before that.
        first: Before the second look; doubled each time.
        longest: Between two looks.
        given_up: Between two looks for what was taken for absent.
        watched: After sending, until when such a thing is looked for.
        lag: After a refusal, before a look makes sure that nothing is there.
        skew: How far the service's clock may be off once its difference is known, and how coarse it is.
    """

    exchange: float = 60.0
    grace: float = 60.0
    sweeps: int = 5
    first: float = 1.0
    longest: float = 60.0
    given_up: float = 300.0
    watched: float = 86_400.0
    lag: float = 10.0
    skew: float = 5.0

    def pause(self, intent: Intent, looks: int) -> float:
        """Before the next look, after so many."""
        if intent.state == "ABSENT":
            return self.given_up
        return min(self.longest, self.first * 2.0 ** min(looks, 30))
