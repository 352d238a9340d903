"""Keeps the approver's signing key, which only a human's passphrase opens.

The key is generated on this machine and stored sealed: Ed25519 under ChaCha20-Poly1305 under scrypt, with all other
fields of the file authenticated. After every five wrong passphrases there is a pause of fifteen minutes, so that a
program with a terminal cannot try many. Each try is appended as one line before the passphrase is tested, so
simultaneous tries all count. An attacker who can delete the file can also copy the sealed key and guess elsewhere; the
passphrase's length and the cost of scrypt protect against that.
"""

from __future__ import annotations

import json
import os
import secrets
import time
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from api.errors import InvalidInput, NotAuthorised, RateLimited
from safety.human.in_force import Approver
from safety.private_file import BadFile, read_private, write_private

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


SCRYPT_COST: Final = 2**17
"""128 MiB and a third of a second for each guess (RFC 7914; n as OWASP's password storage sheet has it)."""


MAX_COST: Final = 2**21


VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class SealedHeader:
    """The content of a sealed file that is readable without the passphrase.

    Attributes:
        header: Everything except the sealed secret: version, public key, key derivation parameters.
        secret: Sealed, hexadecimal.
    """

    header: dict[str, Any]
    secret: str

    @property
    def public_key(self) -> str:
        """The public key, hexadecimal."""
        return self.header["public_key"]

    def opened(self, passphrase: str) -> bytes | None:
        """The secret; `None` if the passphrase is wrong or a field was altered."""
        from cryptography.exceptions import InvalidTag

        nonce, secret = bytes.fromhex(self.header["nonce"]), bytes.fromhex(self.secret)
        try:
            return _cipher(self.header, passphrase).decrypt(nonce, secret, _canonical(self.header))
        except InvalidTag:
            return None


def seal(path: Path, secret: bytes, public_key: str, passphrase: str, cost: int) -> None:
    """Write the file.

    Args:
        path: Path of the file.
        secret: The bytes to seal, 32 of them.
        public_key: Its public key, hexadecimal.
        passphrase: The passphrase that opens it.
        cost: Cost of scrypt, a power of two.

    Raises:
        BadFile: It cannot be written.
    """
    header: dict[str, Any] = {
        "v": VERSION,
        "public_key": public_key,
        "kdf": {"name": "scrypt", "n": cost, "r": 8, "p": 1, "salt": secrets.token_hex(16)},
        "nonce": secrets.token_hex(12),
    }
    sealed = _cipher(header, passphrase).encrypt(bytes.fromhex(header["nonce"]), secret, _canonical(header))
    write_private(path, json.dumps({**header, "sealed": sealed.hex()}, indent=2) + "\n")


def read_sealed(path: Path) -> SealedHeader | None:
    """The file's content, validated so that only a wrong passphrase can fail later; `None` without a file.

    Raises:
        BadFile: It is damaged, or cannot be read.
    """
    text = read_private(path)
    if text is None:
        return None
    try:
        fields = cast("dict[str, Any]", json.loads(text))
        secret = fields.pop("sealed")
        usable = _is_usable(fields, secret)
    except (ValueError, KeyError, TypeError, AttributeError):
        usable, fields, secret = False, {}, ""
    if not usable:
        raise BadFile(
            f"{path} is damaged",
            suggestion="Restore it from a backup; without it nobody can approve, release or sign here",
        )
    return SealedHeader(fields, secret)


def _is_usable(header: dict[str, Any], secret: str) -> bool:
    kdf = header["kdf"]
    lengths = [len(bytes.fromhex(text)) for text in (header["public_key"], secret, header["nonce"], kdf["salt"])]
    stretched = kdf["name"] == "scrypt" and (kdf["r"], kdf["p"]) == (8, 1)
    cost = kdf["n"]
    return header["v"] == VERSION and lengths == [32, 48, 12, 16] and stretched and _is_cost(cost)


def _is_cost(cost: object) -> bool:
    return isinstance(cost, int) and 1 < cost <= MAX_COST and cost & (cost - 1) == 0


def _cipher(header: dict[str, Any], passphrase: str) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    kdf = header["kdf"]
    derive = Scrypt(salt=bytes.fromhex(kdf["salt"]), length=32, n=kdf["n"], r=kdf["r"], p=kdf["p"])
    typed = unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogatepass")
    return ChaCha20Poly1305(derive.derive(typed))


def _canonical(header: dict[str, Any]) -> bytes:
    return json.dumps(header, sort_keys=True, separators=(",", ":")).encode()


APPROVER_FILE: Final = "approver.json"
MIN_PASSPHRASE: Final = 12


class WrongPassphrase(NotAuthorised):
    """The passphrase does not open the key."""

    default_code = "WRONG_PASSPHRASE"


class NotEnrolled(NotAuthorised):
    """There is no approver yet, or it differs from the one in the ledger."""

    default_code = "NO_APPROVER"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The unsealed private key, held only as long as one command needs it."""

    private: Ed25519PrivateKey = field(repr=False)

    @property
    def approver(self) -> Approver:
        """The public half."""
        return Approver(self.private.public_key().public_bytes_raw().hex())

    @property
    def key_id(self) -> str:
        """Id of the key."""
        return self.approver.key_id

    def sign(self, text: str) -> str:
        """A signature over `text`, hexadecimal."""
        return self.private.sign(text.encode()).hex()


def enrol(home: Path, passphrase: str, *, cost: int = SCRYPT_COST) -> SigningKey:
    """Generate a signing key and seal it with the passphrase. The caller records its public key in the ledger.

    Args:
        home: Folder of the file.
        passphrase: At least 12 characters.
        cost: Cost of scrypt, a power of two.

    Raises:
        InvalidInput: The passphrase is too short.
        NotAuthorised: There is an approver already.
        BadFile: The file cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if read_sealed(home / APPROVER_FILE) is not None:
        raise NotAuthorised(
            "a passphrase is already set", suggestion="Use it, or run `heytraders-mcp policy passphrase`"
        )
    check_length(passphrase)
    key = SigningKey(Ed25519PrivateKey.generate())
    _seal(home, key, passphrase, cost)
    return key


def unlock(home: Path, passphrase: str, *, now: float | None = None) -> SigningKey:
    """Open the signing key. Wrong passphrases are counted; a right one resets the count.

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
        more = (
            f"{left} more tries before a lock of 15 minutes" if left else ("Passphrases are now refused for 15 minutes")
        )
        raise WrongPassphrase("the passphrase is wrong", suggestion=more)
    forget_attempts(home)
    return SigningKey(Ed25519PrivateKey.from_private_bytes(secret))


def change_passphrase(home: Path, old: str, new: str, *, cost: int = SCRYPT_COST) -> SigningKey:
    """Seal the same key with another passphrase. Existing signatures stay valid.

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
    """Refuse a passphrase that a program with a copy of the file could guess.

    Raises:
        InvalidInput: It is too short.
    """
    if len(passphrase) < MIN_PASSPHRASE or len(set(passphrase)) < MIN_PASSPHRASE // 2:
        raise InvalidInput(
            f"a passphrase needs {MIN_PASSPHRASE} characters, and {MIN_PASSPHRASE // 2} different ones",
            suggestion="Four or five unrelated words are long enough and easy to type",
        )


ATTEMPTS_FILE: Final = "approver-attempts"
AT_A_TIME: Final = 5
REST_SECONDS: Final = 15 * 60


def count_attempt(home: Path, now: float) -> int:
    """Record a try.

    Args:
        home: Folder of the file.
        now: Unix seconds.

    Returns:
        How many tries are left before the next pause, excluding this one.

    Raises:
        RateLimited: There were too many tries; the error says how long to wait.
        BadFile: The count cannot be read or written.
    """
    path = home / ATTEMPTS_FILE
    earlier = _times(path)
    _refuse_resting(earlier, len(earlier), now)
    mine = f"{now:.3f} {secrets.token_hex(8)}"
    _append(path, mine)
    lines = (read_private(path) or "").splitlines()
    ordinal = lines.index(mine) if mine in lines else len(lines)
    _refuse_resting(_times(path), ordinal, now)
    return AT_A_TIME - 1 - ordinal % AT_A_TIME


def forget_attempts(home: Path) -> None:
    """Reset the count after a right passphrase."""
    (home / ATTEMPTS_FILE).unlink(missing_ok=True)


def _refuse_resting(times: list[float], ordinal: int, now: float) -> None:
    """Refuse the try with this number while the five tries before it are too recent."""
    full = ordinal - ordinal % AT_A_TIME
    if full and abs(now - times[full - 1]) < REST_SECONDS:
        wait = REST_SECONDS - abs(now - times[full - 1])
        raise RateLimited(
            f"the passphrase was wrong {full} times",
            suggestion=(
                "Approvals, releases and signatures are locked. If it was not you, check what is running on this "
                "machine"
            ),
            retry_after=max(1.0, round(wait)),
        )


def _times(path: Path) -> list[float]:
    lines = (read_private(path) or "").splitlines()
    try:
        return [float(line.partition(" ")[0]) for line in lines]
    except ValueError as error:
        raise BadFile(
            f"{path} is not a list of times", suggestion=("If you did not change it, find out who did")
        ) from error


def _append(path: Path, line: str) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NONBLOCK", 0), 0o600)
        try:
            os.write(handle, f"{line}\n".encode())
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise BadFile(
            f"{path} cannot be written ({error.strerror})", suggestion=("Check its owner and permissions")
        ) from error


def public(home: Path) -> Approver | None:
    """The approver named in the file; `None` before the first enrolment.

    Raises:
        BadFile: The file cannot be used.
    """
    sealed = read_sealed(home / APPROVER_FILE)
    return Approver(sealed.public_key) if sealed else None
