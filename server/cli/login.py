"""`heytraders-mcp login` reads the API key from the terminal without echo, and stores it outside any configuration.

`logout` deletes it.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import anyio
import click
from pydantic import SecretStr

from api.errors import HeyTradersError, NotAuthorised, explain
from safety.exits import know, redacted
from server.keys import forget_key, keep_key, last_four
from server.settings import BadSetting, Settings, read_key

if TYPE_CHECKING:
    from api.meta import CapabilitiesResponse


_PLACES = {"keyring": "this machine's keyring", "file": "a file that only you can read"}


@click.command("login")
@click.option("--file", "in_file", is_flag=True, help="Keep the key in a private file, not in the keyring.")
def login(*, in_file: bool) -> None:
    """Store the API key for the service of HEYTRADERS_BASE_URL.

    The command asks for it; no option and no variable takes it.
    """
    settings = Settings.read(os.environ)
    key = read_key(_asked(settings.url), "what was typed")
    know(key.get_secret_value())
    may = _checked(settings, key)
    origin = keep_key(settings.home, settings.url, key, in_file=in_file)
    click.echo(f"The key {last_four(key)} for {settings.url} is kept in {_PLACES[origin]}.")
    click.echo(may)
    if settings.api_key:
        click.echo("HEYTRADERS_API_KEY is still set and no longer used; take it out of your client's configuration.")
    if "trade" in may:
        click.echo("Nothing is traded yet: real orders need a policy that you sign (heytraders-mcp policy sign).")


def _asked(url: str) -> str:
    """Read the key: typed without echo, or one line from a pipe."""
    typed = click.prompt(f"API key for {url}", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline()
    text = str(typed).strip()
    if not text:
        raise BadSetting("no key was given", suggestion="Run heytraders-mcp login in a terminal and paste the key")
    return text


def _checked(settings: Settings, key: SecretStr) -> str:
    """The service's answer about the key.

    Raises:
        NotAuthorised: The service rejects it. Nothing was stored.
    """
    try:
        found = anyio.run(_capabilities, settings, key)
    except NotAuthorised:
        raise
    except HeyTradersError as error:
        return f"It could not be checked: {redacted(explain(error))}"
    return f"The service accepts it for: {', '.join(found.scopes) or 'nothing that it names'}."


async def _capabilities(settings: Settings, key: SecretStr) -> CapabilitiesResponse:
    from api.client import Client
    from api.meta import META_CAPABILITIES, CapabilitiesRequest
    from api.transport import hosted

    client = Client(hosted(settings.url, key, header=settings.auth_header), source="hosted")
    try:
        return await client.call(META_CAPABILITIES, CapabilitiesRequest())
    finally:
        await client.aclose()


@click.command("logout")
def logout() -> None:
    """Forget the stored API key of the service of HEYTRADERS_BASE_URL. Running servers keep it until they end."""
    settings = Settings.read(os.environ)
    origin = forget_key(settings.home, settings.url)
    if origin is None:
        click.echo(f"No key was stored for {settings.url}.")
    else:
        place = "keyring" if origin == "keyring" else "private file"
        click.echo(
            f"The key for {settings.url} was removed from the {place}. It stays valid until you revoke it at the "
            "service."
        )
    if settings.api_key:
        click.echo("HEYTRADERS_API_KEY is still set, and is used from now on.")
