"""Asks a human for the passphrase at a terminal; the first time, for one to choose. Never echoed, never an argument."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from api.errors import InvalidInput, NotAuthorised, explain
from safety.human.in_force import public
from safety.human.signing import (
    APPROVER_FILE,
    MIN_PASSPHRASE,
    NotEnrolled,
    SigningKey,
    WrongPassphrase,
    change_passphrase,
    check_length,
    enrol,
    unlock,
)

if TYPE_CHECKING:
    from safety.ledger import Ledger

TRIES: Final = 3
"""In one command; the count of wrong ones goes on over all commands."""


def signing_key(home: Path, ledger: Ledger) -> SigningKey:
    """The human's key, opened with the passphrase that is typed now.

    Raises:
        NotAuthorised: This is no terminal, the passphrase is wrong, or the key is not the one that the ledger knows.
        RateLimited: Too many were wrong.
    """
    refuse_without_terminal()
    pinned = ledger.approver()
    named = public(home)
    if named is None and pinned is not None:
        raise NotEnrolled(
            f"{home / APPROVER_FILE} is gone, and with it the key that this ledger was told of",
            suggestion="Restore it from a backup, or move safety.db aside and start over with an empty ledger",
        )
    key = _chosen(home) if named is None else _unlocked(home, ledger)
    if pinned is None:
        ledger.pin_approver(key.approver.public_key)
    elif pinned != key.approver.public_key:
        raise NotEnrolled(
            "the approver's key is not the one that this ledger was told of",
            suggestion="Another approver.json has been put in its place. Restore yours from a backup",
        )
    return key


def new_passphrase(home: Path) -> None:
    """Ask for the old passphrase and for a new one.

    Raises:
        NotAuthorised: This is no terminal, or the old one is wrong.
    """
    refuse_without_terminal()
    old = _hidden("Passphrase so far")
    change_passphrase(home, old, _twice("New passphrase"))


def refuse_without_terminal() -> None:
    """A passphrase is typed by a human.

    Raises:
        NotAuthorised: Standard input is no terminal.
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
    click.echo("can replace it: keep it where no agent reads. Choose at least four unrelated words.")
    return enrol(home, _twice(f"New passphrase, {MIN_PASSPHRASE} characters or more"))


def _unlocked(home: Path, ledger: Ledger) -> SigningKey:
    for _ in range(TRIES - 1):
        try:
            return _tried(home, ledger)
        except WrongPassphrase as wrong:
            click.echo(explain(wrong), err=True)
    return _tried(home, ledger)


def _tried(home: Path, ledger: Ledger) -> SigningKey:
    """Ask once; a wrong passphrase is an event of the journal."""
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
