"""Manages the user's own exchange accounts: the connected accounts, their channels and their secrets.

`heytraders-mcp accounts connect` writes `accounts.json` in the home folder; no tool of an agent can. The file is read
again whenever it changes, so an account that is connected while a server runs counts as real from its next order. The
secrets are in this machine's keyring or in a private file. They are bound to an account and its exchange, and only that
exchange's session receives them. A file or entry that names another exchange is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from anyio import to_thread
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.client import Client
from api.errors import UserMustAct
from api.exchanges import EXCHANGES, ExchangeId
from api.orders import PlaceRequest
from safety.exits import know
from safety.private_file import read_private, write_private
from safety.terms.proposal import CONNECTED_SERVICE, PAPER, Channel, Channels
from server.keys import BadSetting, Keyring, SystemKeyring

if TYPE_CHECKING:
    from engine.venues.exchange.session import Keys
    from engine.venues.exchange.views import OwnAccount

FILE_NAME: Final = "accounts.json"


ACCOUNT_ID: Final = "[A-Za-z0-9_-]{1,64}"
"""A regular expression for the id that a user gives to an account."""


class ConnectedAccount(BaseModel):
    """An exchange account of the user's, as connected.

    Attributes:
        account_id: As orders name it.
        exchange: Its exchange; its orders go nowhere else.
        name: Display name.
        labels_echoed: The exchange returns the labels of orders; `None` if not known.
        client_ids: An order can be found by an id that we chose.
        testnet: It is on the exchange's testnet, with play money; the gate still treats it as real.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    account_id: str = Field(pattern=f"^{ACCOUNT_ID}$")
    exchange: ExchangeId
    name: str = Field(default="", max_length=100)
    labels_echoed: bool | None = None
    client_ids: bool = False
    testnet: bool = False

    @property
    def market_type(self) -> str:
        """The market type: spot, perpetual or prediction."""
        return EXCHANGES[self.exchange].market_type

    @property
    def channel(self) -> Channel:
        """Its channel: real money, under every rule."""
        return Channel(
            "real",
            CONNECTED_SERVICE,
            labels_echoed=self.labels_echoed,
            client_ids=self.client_ids,
            alone_needed=not self.client_ids,
            exchange=self.exchange,
        )


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = Field(default=1, ge=1, le=1)
    accounts: tuple[ConnectedAccount, ...] = ()


@dataclass(slots=True)
class ConnectedAccounts:
    """The connected accounts of a home folder. Blocking; the file is read again when it has changed.

    Attributes:
        home: The folder.
    """

    home: Path
    _seen: tuple[int, int, int] | None = None
    _accounts: dict[str, ConnectedAccount] = field(default_factory=dict[str, ConnectedAccount])

    @property
    def path(self) -> Path:
        """Path of the file."""
        return self.home / FILE_NAME

    def all(self) -> tuple[ConnectedAccount, ...]:
        """Every connected account, oldest first.

        Raises:
            UserMustAct: The file cannot be read as a list of accounts.
            BadFile: Other users can read it, or it is not a regular file.
        """
        return tuple(self._read().values())

    def get(self, account_id: str) -> ConnectedAccount | None:
        """One of them; the same errors."""
        return self._read().get(account_id)

    def put(self, account: ConnectedAccount) -> None:
        """Add an account, or replace the one of this id."""
        self._write({**self._read(), account.account_id: account})

    def remove(self, account_id: str) -> bool:
        """Forget an account. Returns whether it existed."""
        kept = dict(self._read())
        found = kept.pop(account_id, None) is not None
        if found:
            self._write(kept)
        return found

    def _write(self, accounts: dict[str, ConnectedAccount]) -> None:
        text = _File(accounts=tuple(accounts.values())).model_dump_json(indent=2, exclude_defaults=True)
        write_private(self.path, text + "\n")

    def _read(self) -> dict[str, ConnectedAccount]:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._seen, self._accounts = None, {}
            return self._accounts
        seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        if seen != self._seen:
            self._accounts, self._seen = self._parsed(read_private(self.path) or "{}"), seen
        return self._accounts

    def _parsed(self, text: str) -> dict[str, ConnectedAccount]:
        try:
            listed = _File.model_validate(json.loads(text)).accounts
        except (ValueError, ValidationError) as error:
            raise UserMustAct(
                f"{self.path} is not a list of connected accounts, so it is not clear which accounts are real",
                suggestion="Move it aside and connect the accounts again with heytraders-mcp accounts connect",
                code="BAD_FILE",
            ) from error
        return {each.account_id: each for each in listed}


@dataclass(frozen=True, slots=True)
class Reached:
    """The API client of the calls, and the channels of its accounts."""

    client: Client
    channels: Channels


def local_channels(
    home: Path, check_paper: Callable[[str], object], check_order: Callable[[PlaceRequest], None] | None = None
) -> Channels:
    """The channels of the embedded engine.

    Args:
        home: Folder with the connected accounts.
        check_paper: Raises `NotFound` unless the engine has a paper account of this id. Blocks.
        check_order: Refuses an order that the exchange of a connected account would not take. Blocks.
    """
    connected = ConnectedAccounts(home)
    paper: set[str] = set()

    async def lookup(account_id: str) -> Channel:
        found = (
            connected.get(account_id) if account_id in paper else await to_thread.run_sync(connected.get, account_id)
        )
        if found is not None:
            return found.channel
        if account_id not in paper:
            await to_thread.run_sync(check_paper, account_id)
            paper.add(account_id)
        return PAPER

    async def check(request: PlaceRequest) -> None:
        if check_order is not None:
            await to_thread.run_sync(check_order, request)

    return Channels.local(lookup, lambda: tuple(each.account_id for each in connected.all()), check)


FOLDER: Final = "account-keys"

SecretPlace = Literal["keyring", "file"]


def keep(
    home: Path, account: ConnectedAccount, secrets: tuple[str, ...], *, in_file: bool, keyring: Keyring | None = None
) -> SecretPlace:
    """Store the secrets of an account: in the keyring, or in a private file with `in_file` or without a keyring.

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
        BadSetting: No keys are stored, they cannot be read, or they belong to another exchange.
    """
    from engine.venues.exchange.session import Keys

    path = _path(home, account.account_id)
    text = read_private(path) if path.exists() else (keyring or SystemKeyring()).read(_name(account))
    again = f"Run: heytraders-mcp accounts connect {account.exchange} --id {account.account_id}"
    try:
        kept = json.loads(text or "{}")
        exchange, secrets = str(kept["exchange"]), tuple(str(one) for one in kept["secrets"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadSetting(f"no keys are stored for account {account.account_id}", suggestion=again) from error
    if exchange != account.exchange:
        raise BadSetting(f"the keys stored for {account.account_id} belong to {exchange}", suggestion=again)
    for secret in secrets:
        know(secret)
    return Keys(secrets, testnet=account.testnet)


def forget(home: Path, account: ConnectedAccount, keyring: Keyring | None = None) -> SecretPlace:
    """Forget the secrets of an account, and return where they were.

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
    """The connected accounts in the engine's format. Their secrets are read when a session is opened."""
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
