"""`heytraders-mcp script check FILE`: the linter of the Signal DSL from a shell."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

import click

from api.errors import InvalidInput
from api.timeframes import Timeframe


@click.group("script")
def command() -> None:
    """Check scripts."""


def _read(file: Path) -> str:
    content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidInput(
            f"{file} is not UTF-8: byte {content[error.start]:#04x} in line {line}",
            suggestion="Save it as UTF-8",
        ) from None


@command.command("check")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--universe", default="BINANCE:BTC/USDT", show_default=True, help="Tickers, separated by commas.")
@click.option("--timeframe", type=click.Choice(get_args(Timeframe)), default="1h", show_default=True)
@click.option("--mode", type=click.Choice(("isolated", "cross")), default="isolated", show_default=True)
@click.option("--leverage", type=float, help="Of the run, for perpetuals.")
def check(*, file: Path, universe: str, timeframe: str, mode: str, leverage: float | None) -> None:
    """Say everything that is wrong or doubtful in FILE (- for standard input), and what the script would do.

    Exit code 0 when it can run, warnings or not; 1 when it cannot.
    """
    from pydantic import ValidationError

    from api.backtests import ScriptCheckRequest
    from api.refusals import refuse
    from engine.jobs.preparation import check as checked

    source = _read(file)
    given = {"script": source, "universe": universe, "timeframe": timeframe, "mode": mode, "leverage": leverage}
    try:
        request = ScriptCheckRequest.model_validate(given)
    except ValidationError as error:
        raise refuse("script_check", ScriptCheckRequest, error, given) from None
    report = checked(request)
    for found in report.diagnostics:
        click.echo(f"{file}:{found.line}:{found.column}: {found.severity}: {found.message}")
        click.echo(found.excerpt)
        if found.suggestion:
            click.echo(f"  {found.suggestion}")
    if not report.valid:
        sys.exit(1)
    click.echo("\n".join(report.plan))
