"""How sure it is that a human approved: the strongest channel there is, why it is no stronger, what would raise it.

It bounds what can be traded (rule R29), whatever the policy says.
"""

from __future__ import annotations

from dataclasses import dataclass

from safety.policy.file import Loaded
from safety.terms.facts import Assurance

from .approver import Approver


@dataclass(frozen=True, slots=True)
class Assured:
    """The level and its reason.

    Attributes:
        level: none, elicitation, passphrase or separate.
        reason: Why it is this one, as a sentence.
        raised_by: What would raise it; empty at the highest.
    """

    level: Assurance
    reason: str
    raised_by: str = ""

    def __str__(self) -> str:
        """One line for a report."""
        return f"{self.level}: {self.reason}" + (f" To raise it: {self.raised_by}" if self.raised_by else "")


def assess(
    loaded: Loaded, approver: Approver | None, *, can_elicit: bool = False, key_in_environment: bool = False
) -> Assured:
    """The assurance of this installation.

    Args:
        loaded: The policy in force.
        approver: Whose signatures count, as `approver.trusted` says.
        can_elicit: Whether the client shows questions of the server.
        key_in_environment: The API key stands in the environment, where an agent that reads the client's settings
            finds it and needs no approval of ours.
    """
    if approver is None:
        return _without_passphrase(loaded, can_elicit=can_elicit)
    if key_in_environment and not loaded.policy.separate_user:
        return Assured(
            "elicitation",
            "an approval needs your passphrase, but the API key stands in the environment, where an agent that can "
            "read the client's settings finds it.",
            "`heytraders-mcp login` keeps the key elsewhere; then take it out of the client's settings.",
        )
    if loaded.signed and loaded.policy.separate_user:
        return Assured(
            "separate",
            "an approval needs your passphrase, and you have signed that the server runs under another user or host "
            "than the agent.",
        )
    return Assured(
        "passphrase",
        "an approval needs your passphrase. An agent with a shell under your user could still take the API key and "
        "go around this server.",
        "run the server under another user or host, and sign a policy with separate_user = true.",
    )


def _without_passphrase(loaded: Loaded, *, can_elicit: bool) -> Assured:
    up = "`heytraders-mcp policy sign` lets you choose a passphrase."
    if can_elicit and loaded.policy.paper.elicitation_up_to > 0:
        return Assured("elicitation", "only the client's own dialog can ask, and a program may answer it.", up)
    return Assured("none", "there is no passphrase, so nothing that needs a human can be approved.", up)
