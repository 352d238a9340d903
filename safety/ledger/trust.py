"""Whom and what the ledger trusts: the approver's public key, and the policy that a human signed.

Both are events like any other, so that replacing one without the journal's key shows.
"""

from __future__ import annotations

from dataclasses import asdict

from api.errors import Denied, UserMustAct

from .journal import Journal
from .records import SignedPolicy


def succession_text(public_key: str) -> str:
    """What the old key signs so that another one takes its place."""
    return f"heytraders-mcp: {public_key} approves from now on"


def approver(journal: Journal) -> str | None:
    """The public key that was pinned last, hexadecimal.

    Raises:
        UserMustAct: Another one has been put in its place.
    """
    event = journal.latest("approver")
    if event is not None and not journal.is_sound(event):
        raise UserMustAct(
            "the approver's key in the ledger was altered, so no approval can be believed",
            suggestion="Restore safety.db and audit.key from a backup of the same folder",
            code="INTERNAL_ERROR",
        )
    return None if event is None else str(event.body["public_key"])


def pin_approver(journal: Journal, public_key: str, signature: str) -> None:
    """Pin a key: the first as it is, another one when the one before has signed `succession_text` of it.

    Raises:
        Denied: The pinned key did not sign.
    """
    pinned = approver(journal)
    if pinned == public_key:
        return
    if pinned is not None and not _signed(pinned, signature, succession_text(public_key)):
        raise Denied(
            "another approver is enrolled already, and it did not sign that this one takes its place",
            suggestion="Run heytraders-mcp policy sign with the passphrase that was enrolled first",
        )
    journal.append("approver", "", {"public_key": public_key, "signature": signature})


def _signed(public_key: str, signature: str, text: str) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(bytes.fromhex(signature), text.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def signed_policy(journal: Journal) -> SignedPolicy | None:
    """The policy that was stored last. Its signature is for the reader to verify."""
    event = journal.latest("policy")
    if event is None:
        return None
    names = SignedPolicy.__dataclass_fields__
    return SignedPolicy(**{name: event.body[name] for name in names})


def store_policy(journal: Journal, signed: SignedPolicy) -> None:
    """Store a newer policy.

    Raises:
        Denied: It is not newer.
    """
    before = signed_policy(journal)
    if before is not None and signed.version <= before.version:
        raise Denied(
            f"policy version {signed.version} is not newer than version {before.version}, which is signed already",
            suggestion="Sign it again with heytraders-mcp policy sign",
        )
    journal.append("policy", "", asdict(signed))
