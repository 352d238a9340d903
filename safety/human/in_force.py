"""What a human has put in force: what an approval covers, the policy, and the assurance level of approvals.

An approval is only verified here: nothing in this module can create one. Every signed text states its purpose, so that
a signature for one purpose is invalid for any other.

In force is the signed policy, tightened by the current `policy.toml` and the built-in ceilings. The file is only a
draft: an edit that allows less takes effect at once, one that allows more waits for a signature. If the
file is missing or invalid after a policy was signed, no real order is sent.

The assurance level is the strongest available approval channel. It limits what can be traded (R29), whatever the policy
allows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from safety.policy.conduct import CHANNEL_DAY, CHANNEL_ORDER
from safety.policy.evaluation import Policy
from safety.policy.limits import Limits, meet
from safety.policy.text import BadPolicy, parse_policy, write_policy
from safety.private_file import BadFile, read_bounded
from safety.terms.facts import Assurance, Outcome, PolicyDecision
from safety.terms.intent import Intent
from safety.terms.proposal import OrderTerms

if TYPE_CHECKING:
    from safety.human.signing import SigningKey
    from safety.ledger.switch import SignedPolicy

BY_ELICITATION: Final = "elicitation"
"""Used instead of a key id when the approval came from the client's dialog."""

ELICITATION_CEILING: Final = Decimal(25)
"""USD. A program may answer a dialog, so no policy lets a dialog approve more than this."""


class ApproverRecord(Protocol):
    """The ledger's record of the approver."""

    def approver(self) -> str | None:
        """The pinned public key, hexadecimal."""
        ...


@dataclass(frozen=True, slots=True)
class Approver:
    """The approver's public key, which verifies signatures.

    Attributes:
        public_key: Ed25519, 32 bytes, hexadecimal.
    """

    public_key: str

    @property
    def key_id(self) -> str:
        """Id of the key: 16 hexadecimal digits of its SHA-256."""
        return hashlib.sha256(bytes.fromhex(self.public_key)).hexdigest()[:16]

    def verify(self, text: str, signature: str) -> bool:
        """Whether `signature`, hexadecimal, is this key's signature of `text`."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public_key))
            key.verify(bytes.fromhex(signature), text.encode())
        except (InvalidSignature, ValueError):
            return False
        return True


def order_words(intent: Intent) -> str:
    """The text signed to approve an intent: its ledger row and every term of its proposal.

    The digest is computed from the terms that are shown, never read from the row.
    """
    return f"heytraders-mcp approves intent {intent.intent_id} digest {intent.proposal.digest}"


def release_words(state: str, since: float, head: str) -> str:
    """The text signed to end a halt.

    Args:
        state: State of the switch.
        since: Unix seconds when it was pulled.
        head: MAC of the ledger's last event, so that an old signature cannot end a later halt.
    """
    return f"heytraders-mcp releases {state} since {since!r} at {head}"


def question_words(head: str) -> str:
    """The text signed to allow questions again; `head` is the MAC of the ledger's last event, so it counts once."""
    return f"heytraders-mcp may ask again at {head}"


def settle_words(intent: Intent, order_id: str | None) -> str:
    """The text signed to settle an intent of unknown outcome: as this order, or without an id as never placed."""
    became = "absent" if order_id is None else f"order {order_id}"
    return f"heytraders-mcp settles intent {intent.intent_id} digest {intent.proposal.digest} as {became}"


def policy_words(version: int, toml: str) -> str:
    """The text signed to put a policy in force."""
    return f"heytraders-mcp policy version {version} sha256 {hashlib.sha256(toml.encode()).hexdigest()}"


def covers(intent: Intent, decision: PolicyDecision, approver: Approver | None, limits: Limits) -> bool:
    """Whether the intent's approval is sufficient for the policy's decision now.

    Args:
        intent: The intent from the ledger.
        decision: The policy's, on the same action, with current facts.
        approver: The key whose signatures count; `None` before a passphrase is chosen.
        limits: The signed limits for the action.
    """
    if decision.outcome is Outcome.DENY or intent.digest != intent.proposal.digest:
        return False
    if intent.approved_at is not None and intent.approved_at > intent.proposal.expires:
        return False
    if intent.signature:
        return signed_by(intent, approver)
    if decision.outcome is Outcome.PASS:
        return True
    return intent.key_id == BY_ELICITATION and _within_elicitation(intent, decision, limits)


def signed_by(intent: Intent, approver: Approver | None) -> bool:
    """Whether the intent holds the approver's signature of exactly these terms."""
    if approver is None or intent.key_id != approver.key_id or not intent.signature:
        return False
    return approver.verify(order_words(intent), intent.signature)


def _within_elicitation(intent: Intent, decision: PolicyDecision, limits: Limits) -> bool:
    """Only orders up to the policy's limit, at the higher of their value when asked and their value now."""
    asked, now = intent.proposal.notional_usd, decision.notional_usd
    if not isinstance(intent.proposal.action, OrderTerms) or asked is None or now is None:
        return False
    return max(asked, now) <= elicitation_limit(limits)


def elicitation_limit(limits: Limits) -> Decimal:
    """Largest order in USD that the client's dialog may approve."""
    return min(limits.elicitation_up_to, ELICITATION_CEILING)


POLICY_FILE: Final = "policy.toml"


class SignedPolicies(ApproverRecord, Protocol):
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


BUILT_IN: Final = Loaded(Policy(), "built-in limits, not signed", signed=False, version=0)


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
    from safety.ledger.switch import SignedPolicy

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
        return _live_off(base, f"{POLICY_FILE} is not valid: {error}")
    if asked is None:
        return _live_off(base, f"{POLICY_FILE} is missing") if base.signed else base
    policy = meet(base.policy, asked)
    return replace(
        base,
        policy=policy,
        origin=base.origin if policy == base.policy else f"{base.origin}, tightened by {POLICY_FILE}",
        warnings=() if policy == asked else (UNSIGNED_CHANGE,),
    )


UNSIGNED_CHANGE: Final = (
    f"{POLICY_FILE} allows more than the signed policy; that part has no effect until you run `heytraders-mcp policy "
    "sign`"
)


def _live_off(base: Loaded, why: str) -> Loaded:
    fields = base.policy.model_dump()
    off = Policy.model_validate({**fields, "live": {**fields["live"], "trading": False}})
    return replace(base, policy=off, warnings=(f"{why}; no real order is sent until `heytraders-mcp policy sign`",))


@dataclass(frozen=True, slots=True)
class AssuranceLevel:
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
) -> AssuranceLevel:
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
        return AssuranceLevel(
            "elicitation",
            "an approval needs your passphrase, but the API key is in the environment, where an agent that can read "
            f"the client's settings can find it. So an order of real money is at most {CHANNEL_ORDER['elicitation']} "
            f"USD, and a day at most {CHANNEL_DAY['elicitation']} USD.",
            "`heytraders-mcp login` keeps the key elsewhere; then take it out of the client's settings.",
        )
    if loaded.signed and loaded.policy.separate_user and started_by_client:
        return AssuranceLevel(
            "passphrase",
            "an approval needs your passphrase. You have signed that the server runs under another user, but a client "
            "started this one, under its own user.",
            "let the other user run `heytraders-mcp serve --transport streamable-http`, and connect the client to it.",
        )
    if loaded.signed and loaded.policy.separate_user:
        return AssuranceLevel(
            "separate",
            "an approval needs your passphrase, and you have signed that the server runs under another user or host "
            "than the agent.",
        )
    return AssuranceLevel(
        "passphrase",
        "an approval needs your passphrase. An agent with a shell under your user could still take the API key and "
        "go around this server.",
        "run the server under another user or host, and sign a policy with separate_user = true.",
    )


def _without_passphrase(loaded: Loaded, *, can_elicit: bool) -> AssuranceLevel:
    up = "`heytraders-mcp policy sign` lets you choose a passphrase."
    if can_elicit and loaded.policy.paper.elicitation_up_to > 0:
        return AssuranceLevel("elicitation", "only the client's own dialog can ask, and a program may answer it.", up)
    return AssuranceLevel("none", "there is no passphrase, so nothing that needs a human can be approved.", up)


def trusted(home: Path, record: ApproverRecord) -> Approver | None:
    """The approver whose signatures count: the pinned one, unless the file names another.

    If the file is missing or unreadable, only new signatures are impossible.
    """
    pinned = record.approver()
    if pinned is None:
        return None
    from safety.human.signing import public

    try:
        named = public(home)
    except BadFile:
        named = None
    return Approver(pinned) if named is None or named.public_key == pinned else None
