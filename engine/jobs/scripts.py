"""Where backtests meet the language: scripts checked before a job is queued, compiled where it runs."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date

from api.backtest_results import Diagnostic, ScriptCheckResponse
from api.backtests import ScriptCheckRequest
from api.symbols import resolve
from api.timeframes import SECONDS
from engine.language.compile import CompiledScript, check_script, compile_script
from engine.language.script import ScriptContext

from .spec import Spec


def compiled(spec: Spec) -> CompiledScript:
    """The script of a spec.

    Raises:
        DslError: Tells of every error.
    """
    return compile_script(spec.script, context_of(spec))


def remarks(spec: Spec) -> tuple[str, ...]:
    """The linter's warnings on a script that the caller wrote.

    Raises:
        DslError: The script has errors; tells of every one.
    """
    found = compiled(spec).diagnostics
    if spec.generated:
        return ()
    return tuple(f"Line {each.line}: {each.message}. {each.suggestion}".rstrip() for each in found)


def check(request: ScriptCheckRequest) -> ScriptCheckResponse:
    """Every remark on a script, and what it would do."""
    context = ScriptContext(
        universe=tuple(dict.fromkeys(resolve(ticker) for ticker in request.universe)),
        timeframe=request.timeframe,
        mode=request.mode,
        exchange=request.exchange,
        bars=_bars(request.start_date, request.end_date, SECONDS[request.timeframe]),
    )
    report = check_script(request.script, context)
    script = report.compiled
    found = sorted(report.diagnostics, key=lambda each: each.severity != "error")
    return ScriptCheckResponse.model_validate(
        {
            "valid": report.ok,
            "diagnostics": [Diagnostic.model_validate(asdict(each)) for each in found],
            "plan": script.plan_text.splitlines() if script else [],
            "tickers": [instrument.ticker for instrument in script.instruments] if script else [],
            "warmup_bars": script.lookback if script else None,
            "reads_position": script.stateful if script else None,
            "fixed_script": report.fixed,
        }
    )


def context_of(spec: Spec) -> ScriptContext:
    """What the script of a spec runs on."""
    return ScriptContext(
        universe=spec.instruments, timeframe=spec.timeframe, mode=spec.mode, exchange=spec.exchange, bars=spec.bars
    )


def _bars(start: date | None, end: date | None, seconds: int) -> int | None:
    return None if start is None or end is None else max(0, (end - start).days + 1) * 86_400 // seconds
