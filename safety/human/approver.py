"""The one who approves: a signing key that only a human's passphrase opens, and the public half that checks signatures.

The key is made on this machine and kept sealed (Ed25519 under ChaCha20-Poly1305 under scrypt). The ledger pins its
public half at the first enrolment, so that a key put in its place later is not taken for the human's.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from api.errors import InvalidInput, NotAuthorised
from safety.private_file import BadFile

from .attempts import count_attempt, forget_attempts
from .sealing import SCRYPT_COST, read_sealed, seal

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

APPROVER_FILE: Final = "approver.json"
MIN_PASSPHRASE: Final = 12


class WrongPassphrase(NotAuthorised):
    """The passphrase does not open the key."""

    default_code = "WRONG_PASSPHRASE"


class NotEnrolled(NotAuthorised):
    """There is no approver yet, or it is not the one that the ledger knows."""

    default_code = "NO_APPROVER"


class Pins(Protocol):
    """What the ledger remembers of the approver."""

    def approver(self) -> str | None:
        """The pinned public key, hexadecimal."""
        ...


@dataclass(frozen=True, slots=True)
class Approver:
    """The public half: tells the human's signatures from all others.

    Attributes:
        public_key: Ed25519, 32 bytes, hexadecimal.
    """

    public_key: str

    @property
    def key_id(self) -> str:
        """What names the key: 16 hexadecimal digits of its SHA-256."""
        return hashlib.sha256(bytes.fromhex(self.public_key)).hexdigest()[:16]

    def verify(self, text: str, signature: str) -> bool:
        """Whether `signature`, hexadecimal, was made over exactly `text` by this key."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public_key))
            key.verify(bytes.fromhex(signature), text.encode())
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The opened private half, held only as long as one command needs it."""

    private: Ed25519PrivateKey = field(repr=False)

    @property
    def approver(self) -> Approver:
        """The public half."""
        return Approver(self.private.public_key().public_bytes_raw().hex())

    @property
    def key_id(self) -> str:
        """Of the key."""
        return self.approver.key_id

    def sign(self, text: str) -> str:
        """A signature over `text`, hexadecimal."""
        return self.private.sign(text.encode()).hex()


def public(home: Path) -> Approver | None:
    """The approver as the file names it; `None` before the first enrolment.

    Raises:
        BadFile: The file cannot be used.
    """
    sealed = read_sealed(home / APPROVER_FILE)
    return Approver(sealed.public_key) if sealed else None


def trusted(home: Path, pins: Pins) -> Approver | None:
    """The approver whose signatures count: the pinned one, as long as the file does not name another.

    A missing or unreadable file only means that nobody can sign anything new.
    """
    pinned = pins.approver()
    if pinned is None:
        return None
    try:
        named = public(home)
    except BadFile:
        named = None
    return Approver(pinned) if named is None or named.public_key == pinned else None


def enrol(home: Path, passphrase: str, *, cost: int = SCRYPT_COST) -> SigningKey:
    """Make a signing key and seal it with the passphrase. The caller pins its public half in the ledger.

    Args:
        home: Folder of the file.
        passphrase: At least 12 characters.
        cost: Of scrypt, a power of two.

    Raises:
        InvalidInput: The passphrase is too short.
        NotAuthorised: There is an approver already.
        BadFile: The file cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if public(home) is not None:
        raise NotAuthorised(
            "a passphrase is already set", suggestion="Use it, or run `heytraders-mcp policy passphrase`"
        )
    check_length(passphrase)
    key = SigningKey(Ed25519PrivateKey.generate())
    _seal(home, key, passphrase, cost)
    return key


def unlock(home: Path, passphrase: str, *, now: float | None = None) -> SigningKey:
    """Open the signing key. Wrong passphrases are counted, right ones end the count.

    Args:
        home: Folder of the file.
        passphrase: The human's.
        now: Unix seconds, for the count.

    Raises:
        NotEnrolled: No passphrase has been chosen.
        WrongPassphrase: It does not open the key.
        RateLimited: Too many were wrong.
        BadFile: The file cannot be used.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    sealed = read_sealed(home / APPROVER_FILE)
    if sealed is None:
        raise NotEnrolled("no passphrase has been chosen yet", suggestion="Run: heytraders-mcp policy sign")
    left = count_attempt(home, time.time() if now is None else now)
    secret = sealed.opened(passphrase)
    if secret is None:
        more = f"{left} more tries before a rest of 15 minutes" if left else "Now a rest of 15 minutes begins"
        raise WrongPassphrase("the passphrase is wrong", suggestion=more)
    forget_attempts(home)
    return SigningKey(Ed25519PrivateKey.from_private_bytes(secret))


def change_passphrase(home: Path, old: str, new: str, *, cost: int = SCRYPT_COST) -> SigningKey:
    """Seal the same key with another passphrase. What was signed stays valid.

    Raises:
        NotEnrolled: No passphrase has been chosen.
        WrongPassphrase: The old one does not open the key.
        RateLimited: Too many were wrong.
        InvalidInput: The new one is too short.
        BadFile: The file cannot be used.
    """
    check_length(new)
    opened = unlock(home, old)
    _seal(home, opened, new, cost)
    return opened


def _seal(home: Path, key: SigningKey, passphrase: str, cost: int) -> None:
    seal(home / APPROVER_FILE, key.private.private_bytes_raw(), key.approver.public_key, passphrase, cost)


def check_length(passphrase: str) -> None:
    """Refuse what a program with a copy of the file could guess.

    Raises:
        InvalidInput: It is too short.
    """
    if len(passphrase) < MIN_PASSPHRASE or len(set(passphrase)) < MIN_PASSPHRASE // 2:
        raise InvalidInput(
            f"a passphrase needs {MIN_PASSPHRASE} characters, and {MIN_PASSPHRASE // 2} different ones",
            suggestion="Four or five unrelated words are long enough and easy to type",
        )
