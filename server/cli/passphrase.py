"""Asks a human for the passphrase at a terminal, and the first time to choose one. Never echoed, never an argument."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from api.errors import InvalidInput, NotAuthorised, explain
from safety.human.signing import (
    APPROVER_FILE,
    MIN_PASSPHRASE,
    NotEnrolled,
    SigningKey,
    WrongPassphrase,
    change_passphrase,
    check_length,
    enrol,
    public,
    unlock,
)

if TYPE_CHECKING:
    from safety.ledger import Ledger

TRIES: Final = 3
"""Tries per command; the count of wrong passphrases continues across commands."""


def signing_key(home: Path, ledger: Ledger) -> SigningKey:
    """The human's key, opened with the passphrase typed now.

    Raises:
        NotAuthorised: There is no terminal, the passphrase is wrong, or the key is not the one in the ledger.
        RateLimited: Too many were wrong.
    """
    refuse_without_terminal()
    pinned = ledger.approver()
    named = public(home)
    if named is None and pinned is not None:
        raise NotEnrolled(
            f"{home / APPROVER_FILE} is missing, and with it the key that this ledger knows",
            suggestion="Restore it from a backup, or move safety.db aside and start over with an empty ledger",
        )
    key = _chosen(home) if named is None else _unlocked(home, ledger)
    if pinned is None:
        ledger.pin_approver(key.approver.public_key)
    elif pinned != key.approver.public_key:
        raise NotEnrolled(
            "the approver's key is not the one that this ledger knows",
            suggestion="Another approver.json has been put in its place. Restore yours from a backup",
        )
    return key


def new_passphrase(home: Path) -> None:
    """Ask for the old passphrase and for a new one.

    Raises:
        NotAuthorised: There is no terminal, or the old passphrase is wrong.
    """
    refuse_without_terminal()
    old = _hidden("Current passphrase")
    change_passphrase(home, old, _twice("New passphrase"))


def refuse_without_terminal() -> None:
    """Refuse to read a passphrase from anything but a terminal.

    Raises:
        NotAuthorised: Standard input is not a terminal.
    """
    if not sys.stdin.isatty():
        raise NotAuthorised(
            "this command is interactive, and standard input is not a terminal",
            suggestion="Run it yourself in a terminal window",
            code="NO_TERMINAL",
        )


def _chosen(home: Path) -> SigningKey:
    click.echo(
        "No passphrase has been chosen yet. It will approve orders, release halts and sign policies, and nothing"
    )
    click.echo("can replace it: keep it where no agent can read it. Choose at least four unrelated words.")
    return enrol(home, _twice(f"New passphrase, {MIN_PASSPHRASE} characters or more"))


def _unlocked(home: Path, ledger: Ledger) -> SigningKey:
    for _ in range(TRIES - 1):
        try:
            return _tried(home, ledger)
        except WrongPassphrase as wrong:
            click.echo(explain(wrong), err=True)
    return _tried(home, ledger)


def _tried(home: Path, ledger: Ledger) -> SigningKey:
    """Ask once; a wrong passphrase is recorded in the journal."""
    try:
        return unlock(home, _hidden("Passphrase"))
    except WrongPassphrase:
        ledger.record("wrong_passphrase")
        raise


def _twice(question: str) -> str:
    for _ in range(TRIES - 1):
        try:
            return _long_enough(question)
        except InvalidInput as short:
            click.echo(explain(short), err=True)
    return _long_enough(question)


def _long_enough(question: str) -> str:
    passphrase: str = click.prompt(question, hide_input=True, confirmation_prompt=True)
    check_length(passphrase)
    return passphrase


def _hidden(question: str) -> str:
    passphrase: str = click.prompt(question, hide_input=True)
    return passphrase
