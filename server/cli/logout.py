"""`heytraders-mcp logout`: forgets the API key that `login` stored."""

from __future__ import annotations

import os

import click

from server.keys import forget_key
from server.settings import Settings


@click.command("logout")
def command() -> None:
    """Forget the stored API key of the service of HEYTRADERS_BASE_URL. Servers that run keep it until they end."""
    settings = Settings.read(os.environ)
    origin = forget_key(settings.home, settings.url)
    if origin is None:
        click.echo(f"No key was stored for {settings.url}.")
    else:
        place = "keyring" if origin == "keyring" else "private file"
        click.echo(f"The key for {settings.url} is gone from the {place}. It stays valid until you revoke it there.")
    if settings.api_key:
        click.echo("HEYTRADERS_API_KEY is still set, and is used from now on.")
