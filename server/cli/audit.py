"""`heytraders-mcp audit`: the journal of the safety layer, for people and for other programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TextIO

import click

from api.errors import InvalidInput, NotFound, clean
from server.logs import start_log
from server.settings import Settings

if TYPE_CHECKING:
    from safety.ledger import Ledger
    from safety.ledger.journal import Event

_PAGE: Final = 1_000
_WIDTH: Final = 160
_WRITERS_MARKS: Final = frozenset({"pid", "monotonic", "seal"})


@click.group("audit", invoke_without_command=True)
@click.option("--head", is_flag=True, help="Print the number and the MAC of the newest event. Keep them elsewhere.")
@click.pass_context
def audit(context: click.Context, *, head: bool) -> None:
    """Check, export and show the journal."""
    if head:
        with _ledger() as ledger:
            seq, mac = ledger.head()
        click.echo(f"{seq}:{mac}")
    elif context.invoked_subcommand is None:
        raise click.UsageError("Name a command: verify, export or tail; or --head.", context)


@audit.command("verify", short_help="Look for altered records.")
@click.option(
    "--anchor", metavar="SEQ:MAC", help=("An earlier output of --head: checks that the journal still holds that event.")
)
@click.option(
    "--label", help=("Label of one of our orders at the exchange: checks whether the ledger is older than the order.")
)
def verify(*, anchor: str | None, label: str | None) -> None:
    """Check the journal and the intents for anything that was altered, moved or removed.

    Exit code 1 if there is something; trading is then halted, until `heytraders-mcp release`.
    """
    anchors = [found for found in (_anchor(anchor), _label(label)) if found is not None]
    with _ledger() as ledger:
        breaks = list(dict.fromkeys(line for each in anchors or [None] for line in ledger.verify(anchor=each)))
        if breaks:
            ledger.halt(f"the journal is inconsistent: {breaks[0]}", "heytraders-mcp audit verify")
        seq, mac = ledger.head()
    for line in breaks:
        click.echo(line)
    if breaks:
        click.echo("Halted. Look at the orders on the exchange itself before `heytraders-mcp release`.", err=True)
        sys.exit(1)
    click.echo(f"{seq} events are consistent. Head: {seq}:{mac}")
    if not anchors:
        click.echo("Only --anchor or --label can show whether newer events are missing.")


@audit.command("export", short_help="Write the events to a file.")
@click.argument("file", type=click.File("w", encoding="utf-8", lazy=True), default="-")
@click.option("--after", type=click.IntRange(0), default=0, show_default=True, help="Only events after this number.")
def export(*, file: TextIO, after: int) -> None:
    """Write the events to FILE (- for standard output), oldest first, one JSON object a line."""
    with _ledger() as ledger:
        while page := ledger.events(after=after, limit=_PAGE):
            file.writelines(json.dumps(asdict(event), sort_keys=True, ensure_ascii=False) + "\n" for event in page)
            after = page[-1].seq


@audit.command("tail")
@click.option("-n", "--number", type=click.IntRange(1, 100_000), default=20, show_default=True, help="How many.")
def tail(*, number: int) -> None:
    """Show the newest events, the newest last."""
    with _ledger() as ledger:
        newest = ledger.events(limit=number, newest=True)
    for event in newest:
        click.echo(line_of(event))


def line_of(event: Event) -> str:
    """An event on one line: time, number, kind, subject, what happened."""
    when = datetime.fromtimestamp(event.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return clean(f"{when} {event.seq:>6} {event.kind:<8} {event.subject} {_what(event.kind, event.body)}", _WIDTH)


def _what(kind: str, body: Mapping[str, Any]) -> str:
    if kind == "intent" and "to" in body:
        move = f"{body['from']} -> {body['to']}" if "from" in body else str(body["to"])
        terms = json.dumps(body["action"], sort_keys=True) if "action" in body else ""
        return f"{move} {body.get('reason', '')} {terms}"
    if kind == "denied":
        decision: dict[str, Any] = body.get("decision", {})
        return f"{decision.get('rule', '')}: {decision.get('reason', '')}"
    if kind == "switch":
        return f"{body.get('state', '')} by {body.get('by', '')}: {body.get('reason', '')}"
    return json.dumps({name: value for name, value in body.items() if name not in _WRITERS_MARKS}, sort_keys=True)


def _anchor(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    seq, colon, mac = text.partition(":")
    if not (colon and seq.isascii() and seq.isdecimal() and int(seq) and len(mac) == 64):
        raise InvalidInput(
            f"--anchor {clean(text, 80)!r} is not SEQ:MAC", suggestion="Give what `heytraders-mcp audit --head` printed"
        )
    return int(seq), mac.lower()


def _label(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    parts = text.split(":")
    if len(parts) != 4 or parts[0] != "htm1" or len(parts[3]) != 12:
        raise InvalidInput(
            f"--label {clean(text, 80)!r} is not a label of ours",
            suggestion="Give one that starts with htm1: and has four parts",
        )
    return 0, parts[3]


@contextmanager
def _ledger() -> Generator[Ledger]:
    """The ledger of this home; never creates one."""
    from safety.ledger import Ledger

    settings = Settings.read(os.environ)
    start_log(settings)
    if not Ledger.exists(settings.home):
        raise NotFound(
            f"nothing is recorded in {settings.home} yet",
            suggestion="Set HEYTRADERS_HOME if the server runs with another folder",
            code="NO_JOURNAL",
        )
    ledger = Ledger.open(settings.home)
    try:
        yield ledger
    finally:
        ledger.close()
