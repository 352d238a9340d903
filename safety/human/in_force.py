"""Determines the policy in force and the assurance level of approvals.

In force is the signed policy, tightened by the current `policy.toml` and the built-in ceilings. The file is only a
draft: an edit that allows less counts at once, one that allows more waits for a signature. If the file is missing or
broken after a policy was signed, no real order is sent.

The assurance level is the strongest available approval channel. It limits what can be traded (R29), whatever the policy
allows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from safety.human.approval import Approver, Pins, policy_words
from safety.human.signing import APPROVER_FILE, SigningKey, read_sealed
from safety.policy import Policy
from safety.policy.conduct import CHANNEL_DAY, CHANNEL_ORDER
from safety.policy.limits import meet
from safety.policy.text import BadPolicy, parse_policy, write_policy
from safety.private_file import BadFile, read_bounded
from safety.terms.facts import Assurance

if TYPE_CHECKING:
    from safety.ledger import SignedPolicy

POLICY_FILE: Final = "policy.toml"


class SignedPolicies(Pins, Protocol):
    """The ledger's record of policies."""

    def signed_policy(self) -> SignedPolicy | None:
        """The last signed policy."""
        ...


@dataclass(frozen=True, slots=True)
class Loaded:
    """The policy in force.

    Attributes:
        policy: Its limits.
        origin: Its source, as a sentence.
        signed: Whether it is based on a signed policy.
        version: Version of the signed policy; 0 without one.
        warnings: Problems for a human to check.
    """

    policy: Policy
    origin: str
    signed: bool
    version: int
    warnings: tuple[str, ...] = ()


def load(home: Path, ledger: SignedPolicies) -> Loaded:
    """The policy in force, freshly read. Never raises: anything unreadable allows less and adds a warning."""
    signed = ledger.signed_policy()
    if signed is None:
        return _tightened(home, BUILT_IN)
    problem = objection(signed, trusted(home, ledger))
    if problem:
        return _live_off(BUILT_IN, problem)
    origin = f"version {signed.version}, signed with key {signed.key_id}"
    return _tightened(home, Loaded(parse_policy(signed.toml), origin, signed=True, version=signed.version))


BUILT_IN: Final = Loaded(Policy(), "built-in limits, not signed by anybody", signed=False, version=0)


def objection(signed: SignedPolicy, approver: Approver | None) -> str:
    """Why a signed policy does not count; empty if it counts."""
    if approver is None:
        return "the approver's key is not the one that this ledger knows"
    words = policy_words(signed.version, signed.toml)
    if signed.key_id != approver.key_id or not approver.verify(words, signed.signature):
        return f"the signature of policy version {signed.version} does not verify"
    try:
        parse_policy(signed.toml)
    except BadPolicy as error:
        return f"policy version {signed.version} cannot be read: {error}"
    return ""


def draft(home: Path) -> Policy | None:
    """The policy in the file, signed or not; `None` without a file.

    Raises:
        BadPolicy: It cannot be read.
    """
    try:
        text = read_bounded(home / POLICY_FILE)
    except BadFile as error:
        raise BadPolicy(f"{POLICY_FILE} cannot be read: {error.message}", suggestion=error.suggestion) from error
    return None if text is None else parse_policy(text)


def sign(policy: Policy, after: int, key: SigningKey, now: float) -> SignedPolicy:
    """A signed policy, to be stored in the ledger.

    Args:
        policy: The policy to put in force.
        after: Version of the previous one, 0 if there was none.
        key: The human's.
        now: Unix seconds.
    """
    from safety.ledger import SignedPolicy

    toml = write_policy(policy)
    return SignedPolicy(
        version=after + 1,
        toml=toml,
        hash=policy.hash,
        signature=key.sign(policy_words(after + 1, toml)),
        key_id=key.key_id,
        signed_at=now,
    )


def _tightened(home: Path, base: Loaded) -> Loaded:
    """The signed or built-in policy, tightened by the file."""
    try:
        asked = draft(home)
    except BadPolicy as error:
        return _live_off(base, f"{POLICY_FILE} is broken: {error}")
    if asked is None:
        return _live_off(base, f"{POLICY_FILE} is gone") if base.signed else base
    policy = meet(base.policy, asked)
    return replace(
        base,
        policy=policy,
        origin=base.origin if policy == base.policy else f"{base.origin}, tightened by {POLICY_FILE}",
        warnings=() if policy == asked else (UNSIGNED_CHANGE,),
    )


UNSIGNED_CHANGE: Final = (
    f"{POLICY_FILE} asks for more than a human has signed; that part does not count until `heytraders-mcp policy sign`"
)


def _live_off(base: Loaded, why: str) -> Loaded:
    fields = base.policy.model_dump()
    off = Policy.model_validate({**fields, "live": {**fields["live"], "trading": False}})
    return replace(base, policy=off, warnings=(f"{why}; no real order goes out until `heytraders-mcp policy sign`",))


@dataclass(frozen=True, slots=True)
class Assured:
    """The level and its reason.

    Attributes:
        level: none, elicitation, passphrase or separate.
        reason: The reason for this level, as a sentence.
        raised_by: How to raise it; empty at the highest.
    """

    level: Assurance
    reason: str
    raised_by: str = ""

    def __str__(self) -> str:
        """One line for a report."""
        return f"{self.level}: {self.reason}" + (f" To raise it: {self.raised_by}" if self.raised_by else "")


def assurance_of(
    loaded: Loaded,
    approver: Approver | None,
    *,
    can_elicit: bool = False,
    key_in_environment: bool = False,
    started_by_client: bool = False,
) -> Assured:
    """The assurance of this installation.

    Args:
        loaded: The policy in force.
        approver: The approver, as returned by `trusted`.
        can_elicit: Whether the client can show the server's questions.
        key_in_environment: The API key is in the environment. An agent that reads the client's settings finds it there
            and can bypass our approval.
        started_by_client: A client started this process and talks to it over a pipe, so both run as the same user.
    """
    if approver is None:
        return _without_passphrase(loaded, can_elicit=can_elicit)
    if key_in_environment and not loaded.policy.separate_user:
        return Assured(
            "elicitation",
            "an approval needs your passphrase, but the API key stands in the environment, where an agent that can "
            f"read the client's settings finds it. So an order of real money is at most {CHANNEL_ORDER['elicitation']} "
            f"USD, and a day at most {CHANNEL_DAY['elicitation']} USD.",
            "`heytraders-mcp login` keeps the key elsewhere; then take it out of the client's settings.",
        )
    if loaded.signed and loaded.policy.separate_user and started_by_client:
        return Assured(
            "passphrase",
            "an approval needs your passphrase. You have signed that the server runs under another user, but a client "
            "started this one, under its own user.",
            "let the other user run `heytraders-mcp serve --transport streamable-http`, and connect the client to it.",
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


def public(home: Path) -> Approver | None:
    """The approver named in the file; `None` before the first enrolment.

    Raises:
        BadFile: The file cannot be used.
    """
    sealed = read_sealed(home / APPROVER_FILE)
    return Approver(sealed.public_key) if sealed else None


def trusted(home: Path, pins: Pins) -> Approver | None:
    """The approver whose signatures count: the pinned one, unless the file names another.

    If the file is missing or unreadable, only new signatures are impossible.
    """
    pinned = pins.approver()
    if pinned is None:
        return None
    try:
        named = public(home)
    except BadFile:
        named = None
    return Approver(pinned) if named is None or named.public_key == pinned else None
