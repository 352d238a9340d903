"""A secret in a file that only a passphrase opens: ChaCha20-Poly1305 under scrypt, all other fields bound to it."""

from __future__ import annotations

import json
import secrets
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from safety.private_file import BadFile, read_private, write_private

SCRYPT_COST: Final = 2**17
"""128 MiB and a third of a second for each guess (RFC 7914; n as OWASP's password storage sheet has it)."""
MAX_COST: Final = 2**21
VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Sealed:
    """What such a file says without the passphrase.

    Attributes:
        header: Everything but the sealed secret: version, public key, how the passphrase is stretched.
        secret: Sealed, hexadecimal.
    """

    header: dict[str, Any]
    secret: str

    @property
    def public_key(self) -> str:
        """The public half of what is sealed, hexadecimal."""
        return self.header["public_key"]

    def opened(self, passphrase: str) -> bytes | None:
        """The secret; `None` when the passphrase is another, or a field was altered."""
        from cryptography.exceptions import InvalidTag

        nonce, secret = bytes.fromhex(self.header["nonce"]), bytes.fromhex(self.secret)
        try:
            return _cipher(self.header, passphrase).decrypt(nonce, secret, _canonical(self.header))
        except InvalidTag:
            return None


def seal(path: Path, secret: bytes, public_key: str, passphrase: str, cost: int) -> None:
    """Write the file.

    Args:
        path: Of the file.
        secret: What to seal, 32 bytes.
        public_key: Its public half, hexadecimal.
        passphrase: What will open it.
        cost: Of scrypt, a power of two.

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


def read_sealed(path: Path) -> Sealed | None:
    """What the file says, checked so far that opening it can fail for the passphrase alone; `None` without a file.

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
    return Sealed(fields, secret)


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
