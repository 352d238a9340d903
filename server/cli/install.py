"""`heytraders-mcp install`: adds this server to a client's configuration, without a key."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import cast, get_args

import click

from server.clients import ClientName, alone, client_config, entry, merged, switched_off
from server.keys import BadSetting
from server.settings import DataChoice, Settings


@click.command("install")
@click.option("--client", "name", type=click.Choice(get_args(ClientName)), required=True, help="Which client.")
@click.option("--data", type=click.Choice(get_args(DataChoice)), help="Simulated candles, or those of the exchanges.")
@click.option("--print", "only_print", is_flag=True, help="Show the entry, and change nothing.")
def install(*, name: str, data: str | None, only_print: bool) -> None:
    """Add this server to a client's configuration, and keep the old file beside it. No key is written.

    An entry that is already there keeps its environment; the current settings are added to it. Comments stay. An entry
    that is switched off stays off, and the answer says so.
    """
    settings = Settings.read(os.environ)
    config = client_config(cast("ClientName", name), Path.home(), os.environ, sys.platform)
    added = entry(config, {**os.environ, **({} if data is None else {"HEYTRADERS_DATA": data})})
    if only_print:
        click.echo(f"{config.path}:\n{alone(config, added)}", nl=False)
        return
    try:
        backup = _replace(config.path, lambda text: merged(text, config, added))
    except OSError as error:
        raise BadSetting(
            f"{config.path} cannot be changed ({error.strerror})", suggestion="Add the entry by hand; --print shows it"
        ) from error
    off = switched_off(config.path.read_text(encoding="utf-8-sig"), config)
    does = "starts heytraders now" if off is None else "has the new entry for heytraders, but it is switched off"
    click.echo(f"{config.path} {does}. " + (f"The old file is {backup}. " if backup else ""))
    if off is not None:
        click.echo(f"{name} will not start it as long as the entry contains {off}. To enable it, delete that field.")
    if settings.api_key and not settings.signed_in:
        click.echo("HEYTRADERS_API_KEY was left out. To keep it in this machine's keyring: heytraders-mcp login")
    click.echo(f"Restart {name} to see its tools.")


def _replace(path: Path, change: Callable[[str | None], str]) -> Path | None:
    """Replace a file atomically, following links and keeping its mode. Returns the backup of the old file."""
    target = path.resolve()
    try:
        old = target.read_bytes().decode("utf-8-sig") if target.exists() else None
    except UnicodeDecodeError as error:
        raise BadSetting(f"{path} is not UTF-8 text", suggestion="Add the entry by hand; --print shows it") from error
    new = change(old)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.name}.new")
    scratch.write_bytes(new.encode())
    backup = None
    if old is None:
        scratch.chmod(0o600)
    else:
        shutil.copymode(target, scratch)
        backup = target.with_name(f"{target.name}.{datetime.now(UTC):%Y%m%dT%H%M%SZ}.bak")
        shutil.copy2(target, backup)
    scratch.replace(target)
    return backup
