"""Import a file of candles as the command line does, where a refusal ends the test."""

from __future__ import annotations

from pathlib import Path

from api.errors import HeyTradersError
from api.symbols import Instrument
from api.times import Clock, Timeframe
from engine.feeds.importing import ImportOptions, ImportReport, import_all
from engine.store.database import Store


def import_file(
    store: Store,
    path: Path,
    instrument: Instrument,
    timeframe: Timeframe,
    *,
    allow_gaps: bool = False,
    replace: bool = False,
    clock: Clock | None = None,
) -> ImportReport:
    """Import the one table in a file.

    Raises:
        InvalidInput: A row breaks a rule or contradicts a stored one.
    """
    options = ImportOptions(instrument, timeframe=timeframe, allow_gaps=allow_gaps, replace=replace)
    [outcome] = import_all(store, [path], options, clock=clock)
    if isinstance(outcome.result, HeyTradersError):
        raise outcome.result
    return outcome.result
