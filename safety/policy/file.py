"""Which policy is in force: what a human signed, tightened by what the file says now, below the built-in ceilings.

The file `policy.toml` is only a draft. Editing it can take effect at once where it allows less; what allows more waits
for a signature. A file that is gone or broken after something was signed switches live orders off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from safety.human.approval import policy_words
from safety.human.approver import Approver, Pins, SigningKey, trusted
from safety.policy.limits import meet
from safety.policy.policy import Policy
from safety.policy.text import BadPolicy, parse_policy, write_policy
from safety.private_file import BadFile, read_bounded

if TYPE_CHECKING:
    from safety.ledger import SignedPolicy

POLICY_FILE: Final = "policy.toml"


class SignedPolicies(Pins, Protocol):
    """What the ledger keeps of policies."""

    def signed_policy(self) -> SignedPolicy | None:
        """The last one that was signed."""
        ...


@dataclass(frozen=True, slots=True)
class Loaded:
    """The policy in force.

    Attributes:
        policy: Its limits.
        origin: Where it comes from, as a sentence.
        signed: Whether a human signed what it rests on.
        version: Of the signed one; 0 if no policy is signed.
        warnings: What a human should look at.
    """

    policy: Policy
    origin: str
    signed: bool
    version: int
    warnings: tuple[str, ...] = ()


def load(home: Path, ledger: SignedPolicies) -> Loaded:
    """The policy in force, read again. Never raises: what cannot be read allows less, and a warning says so."""
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
    """Why a signed policy does not count; empty when it does."""
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
    """What the file asks for, signed or not; `None` where there is no file.

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
        policy: What is to be in force.
        after: Version of the one before it, 0 where there was none.
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
    """The signed or built-in policy, as far as the file allows it."""
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
