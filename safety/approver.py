"""The one who approves: a signing key that only a human's passphrase opens, and the public half that checks signatures.

The key is made on this machine and kept sealed (Ed25519 under ChaCha20-Poly1305 under scrypt). The ledger pins its
public half at the first enrolment, so that a key put in its place later is not taken for the human's.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from api.errors import InvalidInput, NotAuthorised

from .attempts import count_attempt, forget_attempts
from .private_file import BadFile, read_private, write_private

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

APPROVER_FILE: Final = "approver.json"
SCRYPT_COST: Final = 2**17
"""128 MiB and a third of a second for each guess (RFC 7914; n as OWASP's password storage sheet has it)."""
MIN_PASSPHRASE: Final = 12
VERSION: Final = 1


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
    sealed = _read(home)
    return Approver(sealed["public_key"]) if sealed else None


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

    if _read(home) is not None:
        raise NotAuthorised("a passphrase was chosen here before", suggestion="Use it; it cannot be chosen anew")
    check_length(passphrase)
    key = SigningKey(Ed25519PrivateKey.generate())
    _write(home, key, passphrase, cost)
    return key


def unlock(home: Path, passphrase: str, *, now: float | None = None) -> SigningKey:
    """Open the signing key. Wrong passphrases are counted, right ones end the count.

    Args:
        home: Folder of the file.
        passphrase: The human's.
        now: Unix seconds, for the count.

    Raises:
        NotEnrolled: There is none.
        WrongPassphrase: It does not open the key.
        RateLimited: Too many were wrong.
        BadFile: The file cannot be used.
    """
    sealed = _read(home)
    if sealed is None:
        raise NotEnrolled("no passphrase has been chosen yet", suggestion="Run: heytraders-mcp policy sign")
    left = count_attempt(home, time.time() if now is None else now)
    key = _opened(sealed, passphrase, left)
    forget_attempts(home)
    return SigningKey(key)


def change_passphrase(home: Path, old: str, new: str, *, cost: int = SCRYPT_COST) -> SigningKey:
    """Seal the same key with another passphrase. What was signed stays valid.

    Raises:
        NotEnrolled: There is none.
        WrongPassphrase: The old one does not open the key.
        RateLimited: Too many were wrong.
        InvalidInput: The new one is too short.
        BadFile: The file cannot be used.
    """
    check_length(new)
    opened = unlock(home, old)
    _write(home, opened, new, cost)
    return opened


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


def _write(home: Path, key: SigningKey, passphrase: str, cost: int) -> None:
    header: dict[str, Any] = {
        "v": VERSION,
        "public_key": key.approver.public_key,
        "kdf": {"name": "scrypt", "n": cost, "r": 8, "p": 1, "salt": secrets.token_hex(16)},
        "nonce": secrets.token_hex(12),
    }
    sealed = _cipher(header, passphrase).encrypt(
        bytes.fromhex(header["nonce"]), key.private.private_bytes_raw(), _canonical(header)
    )
    write_private(home / APPROVER_FILE, json.dumps({**header, "sealed": sealed.hex()}, indent=2) + "\n")


def _opened(sealed: dict[str, Any], passphrase: str, left: int) -> Ed25519PrivateKey:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    header = {name: value for name, value in sealed.items() if name != "sealed"}
    try:
        secret = _cipher(header, passphrase).decrypt(
            bytes.fromhex(sealed["nonce"]), bytes.fromhex(sealed["sealed"]), _canonical(header)
        )
        return Ed25519PrivateKey.from_private_bytes(secret)
    except InvalidTag:
        more = f"{left} more tries before a rest of 15 minutes" if left else "Now a rest of 15 minutes begins"
        raise WrongPassphrase("the passphrase is wrong", suggestion=more) from None


def _cipher(header: dict[str, Any], passphrase: str) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    kdf = header["kdf"]
    derive = Scrypt(salt=bytes.fromhex(kdf["salt"]), length=32, n=kdf["n"], r=kdf["r"], p=kdf["p"])
    return ChaCha20Poly1305(derive.derive(unicodedata.normalize("NFC", passphrase).encode()))


def _canonical(header: dict[str, Any]) -> bytes:
    return json.dumps(header, sort_keys=True, separators=(",", ":")).encode()


def _read(home: Path) -> dict[str, Any] | None:
    """The file's fields, checked so far that opening it can fail for the passphrase alone."""
    path = home / APPROVER_FILE
    text = read_private(path)
    if text is None:
        return None
    try:
        fields = cast("dict[str, Any]", json.loads(text))
        kdf = fields["kdf"]
        lengths = [len(bytes.fromhex(value)) for value in (fields["public_key"], fields["sealed"], fields["nonce"])]
        usable = fields["v"] == VERSION and lengths == [32, 48, 12] and kdf["name"] == "scrypt"
        usable = usable and len(bytes.fromhex(kdf["salt"])) == 16 and (kdf["r"], kdf["p"]) == (8, 1)
        usable = usable and kdf["n"] in {2**power for power in range(1, 22)}
    except (ValueError, KeyError, TypeError):
        usable, fields = False, {}
    if not usable:
        raise BadFile(
            f"{path} is damaged",
            suggestion="Restore it from a backup; without it nobody can approve, release or sign here",
        )
    return fields
