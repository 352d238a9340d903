"""Reads three current values from the journal: the kill switch, the approver's public key, and the signed policy.

The switch is also a file, which works even if nothing else does. Anyone may create it, for instance with `touch`. While
it exists, or cannot be checked, nothing is sent. Once a process has seen it, the journal records the halt, and removing
the file alone no longer ends it.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Final

from api.errors import Denied, NotAuthorised, UserMustAct, clean
from safety.human.in_force import Approver
from safety.ledger.journal import Event, Journal
from safety.ledger.rows import move, one_of, select, whole
from safety.private_file import BadFile, read_regular
from safety.terms.facts import SwitchState


@dataclass(frozen=True, slots=True)
class Switch:
    """The kill switch.

    Attributes:
        state: ACTIVE, REDUCING or HALTED.
        reason: Why it is engaged.
        by: The last one to move it.
        since: Unix seconds; `None` when it was never moved.
    """

    state: SwitchState = "ACTIVE"
    reason: str = ""
    by: str = ""
    since: float | None = None


@dataclass(frozen=True, slots=True)
class SignedPolicy:
    """A policy as a human signed it.

    Attributes:
        version: Rises with every signature.
        toml: The text.
        hash: Hash of the parsed policy, hexadecimal.
        signature: Hexadecimal.
        key_id: Id of the approver's key.
        signed_at: Unix seconds.
    """

    version: int
    toml: str
    hash: str
    signature: str
    key_id: str
    signed_at: float


FILE_NAME: Final = "HALT"
BY_FILE: Final = "the file HALT"
BY_CHECK: Final = "the check of the journal"
_OPEN: Final = ("PENDING", "APPROVED", "NOT_SENT")
_MAX_REASON: Final = 300


def read_file(home: Path) -> Switch | None:
    """The content of the file; `None` if it definitely does not exist."""
    path = home / FILE_NAME
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        return Switch("HALTED", f"{path} cannot be checked ({error.strerror})", BY_FILE)
    reason = _reason_in(path) if S_ISREG(found.st_mode) else f"{path} exists"
    return Switch("HALTED", reason, BY_FILE, found.st_mtime)


def _reason_in(path: Path) -> str:
    try:
        found = read_regular(path)
    except BadFile as error:
        return error.message
    text = b"" if found is None else found[0][: 4 * _MAX_REASON]
    return clean(text.decode(errors="replace"), _MAX_REASON) or f"{path} was created"


def write_file(home: Path, reason: str) -> bool:
    """Create the file unless it exists. Returns whether it exists now.

    The file appears complete with its reason, since a waiting server reads it at once.
    """
    path, whole_file = home / FILE_NAME, home / f".{FILE_NAME}.{secrets.token_hex(4)}"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        whole_file.write_text(clean(reason, _MAX_REASON) + "\n", encoding="utf-8")
        path.hardlink_to(whole_file)
    except FileExistsError:
        return True
    except OSError:
        return _touched(path)
    finally:
        with suppress(OSError):
            whole_file.unlink()
    return True


def _touched(path: Path) -> bool:
    """Create the file without a reason, for a disk that is full or does not support links."""
    try:
        path.touch()
    except OSError:
        return False
    return True


def remove_file(home: Path) -> None:
    """Remove the file.

    Raises:
        UserMustAct: It cannot be removed, so everything stays halted.
    """
    path = home / FILE_NAME
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise UserMustAct(
            f"{path} cannot be removed ({error.strerror}), so everything stays halted",
            suggestion="Remove it by hand",
            code="INTERNAL_ERROR",
        ) from error


def in_journal(journal: Journal) -> Switch:
    """The switch according to the journal."""
    event = _last(journal)
    if event is None:
        return Switch()
    if not journal.is_sound(event):
        return Switch("HALTED", f"event {event.seq}, which moved the switch, was altered", BY_CHECK, event.at)
    return Switch(event.body["state"], event.body["reason"], event.body["by"], event.at)


def _last(journal: Journal) -> Event | None:
    moved = [event for subject in ("engage", "release") if (event := journal.latest("switch", subject)) is not None]
    return max(moved, key=lambda event: event.seq, default=None)


def current(journal: Journal, home: Path) -> Switch:
    """The effective switch, in a transaction that writes: a file unknown to the journal is recorded."""
    said = in_journal(journal)
    seen = read_file(home)
    if seen is None or said.state == "HALTED":
        return said
    return engage(journal, seen)


def engage(journal: Journal, wanted: Switch) -> Switch:
    """Halt or reduce. A halt stays a halt, and intents waiting to be sent when it begins are never sent."""
    said = in_journal(journal)
    if said.state == "HALTED" or said.state == wanted.state:
        return said
    reason = clean(wanted.reason, _MAX_REASON)
    event = journal.append("switch", "engage", {"state": wanted.state, "reason": reason, "by": clean(wanted.by, 100)})
    if wanted.state == "HALTED":
        for row in whole(journal, select(journal, one_of("state", _OPEN), _OPEN)):
            move(journal, row, "HALTED", reason=f"halted: {reason}")
    return Switch(wanted.state, reason, wanted.by, event.at)


def approver(journal: Journal) -> str | None:
    """The pinned public key, hexadecimal.

    Raises:
        UserMustAct: It was replaced outside the ledger.
    """
    event = journal.latest("approver")
    if event is not None and not journal.is_sound(event):
        raise UserMustAct(
            "the approver's key in the ledger was altered, so no approval can be believed",
            suggestion="Restore safety.db and audit.key from a backup of the same folder",
            code="INTERNAL_ERROR",
        )
    return None if event is None else str(event.body["public_key"])


def signed(journal: Journal, words: str, signature: str) -> dict[str, object]:
    """What the journal tells of a human's word: who signed it, the signature, and the text.

    Raises:
        NotAuthorised: The pinned key did not sign these words.
    """
    pinned = approver(journal)
    key = None if pinned is None else Approver(pinned)
    if key is None or not key.verify(words, signature):
        raise NotAuthorised(
            "this needs the signature of the approver that this ledger knows",
            suggestion="Run the command again at a terminal and type the passphrase",
        )
    return {"by": key.key_id, "signature": signature, "over": words}


def pin_approver(journal: Journal, public_key: str) -> None:
    """Pin the key of the only approver.

    Raises:
        Denied: Another key is pinned.
    """
    pinned = approver(journal)
    if pinned == public_key:
        return
    if pinned is not None:
        raise Denied(
            "another approver is enrolled already",
            suggestion="Run heytraders-mcp policy sign with the passphrase that was enrolled first",
        )
    journal.append("approver", "", {"public_key": public_key})


def signed_policy(journal: Journal) -> SignedPolicy | None:
    """The last stored policy. The caller verifies its signature."""
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
