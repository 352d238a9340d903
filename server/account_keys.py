"""The secrets of the user's own exchange accounts: in this machine's keyring, or in a private file.

Each set is bound to an account and its exchange, and is handed to nothing but that exchange's session. A file or entry
that names another exchange is refused.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from safety.exits import know

from .channels import ConnectedAccount, ConnectedAccounts
from .keyring import Keyring, SystemKeyring
from .private import BadSetting, read_private, write_private

if TYPE_CHECKING:
    from engine.venues.exchange.session import Keys
    from engine.venues.exchange.views import OwnAccount

FOLDER: Final = "account-keys"

Place = Literal["keyring", "file"]


def keep(
    home: Path, account: ConnectedAccount, secrets: tuple[str, ...], *, in_file: bool, keyring: Keyring | None = None
) -> Place:
    """Keep the secrets of an account: in the keyring, or in a private file if there is no keyring or `in_file` says so.

    Raises:
        BadSetting: The keyring did not answer, or the folder cannot be written.
    """
    text = json.dumps({"exchange": account.exchange, "secrets": list(secrets)})
    if not in_file and (keyring or SystemKeyring()).write(_name(account), text):
        _path(home, account.account_id).unlink(missing_ok=True)
        return "keyring"
    write_private(_path(home, account.account_id), text + "\n")
    return "file"


def find(home: Path, account: ConnectedAccount, keyring: Keyring | None = None) -> Keys:
    """The secrets of an account. Blocking: a keyring may ask its user.

    Raises:
        BadSetting: No keys are stored, they cannot be read, or they are of another exchange.
    """
    from engine.venues.exchange.session import Keys

    path = _path(home, account.account_id)
    text = read_private(path) if path.exists() else (keyring or SystemKeyring()).read(_name(account))
    again = f"Run: heytraders-mcp accounts connect {account.exchange} --id {account.account_id}"
    try:
        kept = json.loads(text or "{}")
        exchange, secrets = str(kept["exchange"]), tuple(str(one) for one in kept["secrets"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadSetting(f"no keys are kept for account {account.account_id}", suggestion=again) from error
    if exchange != account.exchange:
        raise BadSetting(f"the keys kept for {account.account_id} are those of {exchange}", suggestion=again)
    for secret in secrets:
        know(secret)
    return Keys(secrets, testnet=account.testnet)


def forget(home: Path, account: ConnectedAccount, keyring: Keyring | None = None) -> Place:
    """Forget the secrets of an account, and say where they were.

    Raises:
        BadSetting: The keyring did not answer.
    """
    path = _path(home, account.account_id)
    if path.exists():
        path.unlink()
        return "file"
    (keyring or SystemKeyring()).forget(_name(account))
    return "keyring"


def own_accounts(home: Path) -> list[OwnAccount]:
    """The connected accounts as the engine takes them. Their secrets are read when a session is opened."""
    from engine.venues.exchange.views import OwnAccount

    return [
        OwnAccount(
            account_id=one.account_id,
            exchange=one.exchange,
            name=one.name,
            testnet=one.testnet,
            keys=partial(find, home, one),
        )
        for one in ConnectedAccounts(home).all()
    ]


def _name(account: ConnectedAccount) -> str:
    return f"account:{account.exchange}:{account.account_id}"


def _path(home: Path, account_id: str) -> Path:
    return home / FOLDER / f"{account_id}.json"
