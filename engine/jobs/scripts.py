"""Where backtests meet the language: scripts checked before a job is queued, compiled where it runs."""

from __future__ import annotations

from engine.language.compile import CompiledScript, compile_script
from engine.language.script import ScriptContext

from .spec import Spec


def compiled(spec: Spec) -> CompiledScript:
    """The script of a spec.

    Raises:
        DslError: Tells of every error.
    """
    return compile_script(spec.script, _context(spec))


def remarks(spec: Spec) -> tuple[str, ...]:
    """The linter's warnings on a script that the caller wrote.

    Raises:
        DslError: The script has errors; tells of every one.
    """
    found = compiled(spec).diagnostics
    if spec.generated:
        return ()
    return tuple(f"Line {each.line}: {each.message}. {each.suggestion}".rstrip() for each in found)


def _context(spec: Spec) -> ScriptContext:
    return ScriptContext(
        universe=spec.instruments, timeframe=spec.timeframe, mode=spec.mode, exchange=spec.exchange, bars=spec.bars
    )
