"""Errors and warnings in a source text: location, reason and correction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from api.errors import ErrorCode, InvalidInput, NotFound, clean

Severity = Literal["error", "warning"]

MAX_DIAGNOSTICS: Final = 25
_WINDOW: Final = 96
_QUOTED: Final = 60


@dataclass(frozen=True, slots=True, order=True)
class TextSpan:
    """A stretch of one line. Lines and columns count characters from 1; `end` is the column after the last one."""

    line: int
    column: int
    end: int


@dataclass(frozen=True, slots=True)
class SourceDiagnostic:
    """One finding.

    Attributes:
        code: A code of the API for errors (`VALIDATION_ERROR`, `TA_OUT_OF_RANGE`, `DATA_UNAVAILABLE`), the name of the
            rule for warnings (`never-true`, `unused-name`, ...).
        excerpt: The line in question, and below it carets under the offending text.
        suggestion: The fix; empty if none is known.
    """

    severity: Severity
    code: str
    message: str
    line: int
    column: int
    end_column: int
    excerpt: str
    suggestion: str = ""

    def __str__(self) -> str:
        sentences = [_ended(text) for text in (self.message, self.suggestion) if text]
        return f"line {self.line}, column {self.column}: {' '.join(sentences)}\n{self.excerpt}"


def _ended(text: str) -> str:
    return text if text.endswith(("?", ".")) else f"{text}."


class DslError(InvalidInput):
    """A script or expression was refused. `diagnostics` holds every error; `fixed` holds the corrected text, if
    known."""

    def __init__(self, message: str, diagnostics: Sequence[SourceDiagnostic], *, code: str, fixed: str | None) -> None:
        suggestion = f"Write {fixed}" if fixed is not None and "\n" not in fixed and len(fixed) < 300 else ""
        super().__init__(message, suggestion=suggestion, code=code)
        self.diagnostics = tuple(diagnostics)
        self.fixed = fixed


class DslDataError(DslError, NotFound):
    """The text is valid, but it reads data that no feed has."""


class Findings:
    """Collects the diagnostics of one source text without duplicates, and the replacements that correct it.

    `reported` counts all errors, including duplicates: the body of a loop is read once for each ticker.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.lines = source.split("\n")
        self._all: dict[tuple[TextSpan, str], SourceDiagnostic] = {}
        self._fixes: dict[TextSpan, str] = {}
        self.reported = 0

    @property
    def errors(self) -> tuple[SourceDiagnostic, ...]:
        """The errors, in the order of the text."""
        return tuple(d for d in self.sorted() if d.severity == "error")

    @property
    def failed(self) -> bool:
        """Whether there is an error."""
        return self.reported > 0

    def sorted(self) -> tuple[SourceDiagnostic, ...]:
        """Everything found, in the order of the text."""
        return tuple(sorted(self._all.values(), key=lambda d: (d.line, d.column, d.severity)))

    def error(
        self,
        span: TextSpan,
        message: str,
        suggestion: str = "",
        *,
        fix: str | None = None,
        code: ErrorCode | None = None,
    ) -> None:
        """Report an error at `span`. `fix` is the replacement text."""
        self.reported += 1
        self._add("error", code or "VALIDATION_ERROR", span, message, suggestion)
        if fix is not None:
            self._fixes[span] = fix

    def replace(self, span: TextSpan, fix: str) -> None:
        """A further replacement that belongs to an error reported elsewhere."""
        self._fixes[span] = fix

    def warning(self, span: TextSpan, rule: str, message: str, suggestion: str = "") -> None:
        """Report code that is allowed but probably not intended."""
        self._add("warning", rule, span, message, suggestion)

    def _add(self, severity: Severity, code: str, span: TextSpan, message: str, suggestion: str) -> None:
        if len(self._all) < MAX_DIAGNOSTICS:
            excerpt = self.excerpt(span)
            found = SourceDiagnostic(severity, code, message, span.line, span.column, span.end, excerpt, suggestion)
            self._all.setdefault((span, message), found)

    def excerpt(self, span: TextSpan) -> str:
        """The line around `span`, with carets below it."""
        line = self.lines[span.line - 1] if span.line <= len(self.lines) else ""
        start = 0 if len(line) <= _WINDOW else max(0, span.column - 1 - _WINDOW // 2)
        shown = "".join(c if c.isprintable() else " " for c in line[start : start + _WINDOW])
        width = max(1, min(span.end - span.column, _WINDOW - (span.column - 1 - start)))
        return f"  {shown}\n  {' ' * (span.column - 1 - start)}{'^' * width}"

    def replaced(self) -> str:
        """The source with every known replacement made."""
        lines = list(self.lines)
        for span, text in sorted(self._widest().items(), reverse=True):
            line = lines[span.line - 1]
            lines[span.line - 1] = line[: span.column - 1] + text + line[span.end - 1 :]
        return "\n".join(lines)

    def _widest(self) -> dict[TextSpan, str]:
        """The replacements that no other one includes."""
        widest: dict[TextSpan, str] = {}
        line, end = 0, 0
        for span in sorted(self._fixes, key=lambda each: (each.line, each.column, -each.end)):
            if span.line != line or span.end > end:
                widest[span] = self._fixes[span]
                line, end = span.line, span.end
        return widest

    def raise_errors(self, what: str, fixed: str | None = None) -> None:
        """Raise one exception that lists all errors, if there are any. `what` names the text, e.g. `condition`."""
        errors = self.errors
        if errors:
            raise refusal(what, errors, fixed)


def refusal(what: str, errors: Sequence[SourceDiagnostic], fixed: str | None = None) -> DslError:
    """The exception for these errors. Its code is their common code, else VALIDATION_ERROR."""
    codes = {error.code for error in errors}
    code = codes.pop() if len(codes) == 1 else "VALIDATION_ERROR"
    count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
    message = f"{count} in the {what}\n{listing(errors)}"
    kind = DslDataError if code == "DATA_UNAVAILABLE" else DslError
    return kind(message, errors, code=code, fixed=fixed)


def listing(diagnostics: Iterable[SourceDiagnostic]) -> str:
    """All of them as text, one after the other."""
    return "\n".join(str(each) for each in diagnostics)


def quoted(text: str) -> str:
    """Foreign text in a message: cleaned, short, in backticks."""
    return f"`{clean(text, _QUOTED)}`"


def short(text: str, limit: int = 60) -> str:
    """Source text, shortened if long."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
