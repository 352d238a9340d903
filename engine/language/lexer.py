"""The first pass over a source text: limits, brackets, and operator spellings from other languages.

It runs in linear time before Python's own parser sees anything. `&&`, `||`, `!`, `AND`, `=<`, `≥` and the like are
reported and rewritten, so that the parser continues and finds every other error in the same run.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Final, Literal

from api.errors import fold

from .diagnostics import Findings, TextSpan, quoted

TextMode = Literal["expression", "script"]

MAX_LENGTH: Final[dict[TextMode, int]] = {"expression": 4_000, "script": 50_000}
"""Characters."""

MAX_BRACKETS: Final = 48
"""Brackets open at the same time."""

_TOKEN: Final = re.compile(
    r"""(?P<comment>\#[^\n]*)
    |(?P<string>"[^"\n]*"|'[^'\n]*')
    |(?P<number>(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?)
    |(?P<name>[A-Za-z_]\w*)
    |(?P<newline>\n)
    |(?P<space>[ \t]+)
    |(?P<op>===|!==|\*\*|//|&&|\|\||:=|->|=>|=<|<>|==|!=|<=|>=|[-+*/%<>()\[\],.:={}!?;&|^~@$\\`])
    |(?P<other>.)""",
    re.VERBOSE | re.ASCII,
)


def has_refused_literal(text: str) -> bool:
    """Whether `text` has a number that touches a letter (`1if`), a prefix before quotes, or a backslash in quotes.

    The language has none of them. Python's parser reads some, and warns about them on stderr.
    """
    for match in _TOKEN.finditer(text):
        before, after = text[: match.start()][-1:], text[match.end() :][:1]
        if match.lastgroup == "number" and (after.isalpha() or after == "_"):
            return True
        if match.lastgroup == "string" and ("\\" in match[0] or before.isalpha()):
            return True
    return False


_SPELLINGS: Final = {
    "&&": "and",
    "||": "or",
    "&": "and",
    "|": "or",
    "!": "not",
    "~": "not",
    "===": "==",
    "!==": "!=",
    "<>": "!=",
    "=>": ">=",
    "=<": "<=",
    "^": "**",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "\u00d7": "*",
    "÷": "/",
    "\u2212": "-",
    "\u2013": "-",
    "“": '"',
    "”": '"',
    "AND": "and",
    "OR": "or",
    "NOT": "not",
    "IF": "if",
    "ELSE": "else",
    "true": "True",
    "false": "False",
    "TRUE": "True",
    "FALSE": "False",
}
_REFUSED: Final = {
    "?": "a choice is written `a if condition else b`",
    ";": "write one statement a line",
    ":=": "give the value its name on a line of its own: `name = expression`",
    "{": "there are no dictionaries or sets; a list of intents is written in [ ]",
    "}": "there are no dictionaries or sets; a list of intents is written in [ ]",
    "\\": "a long line may be broken inside brackets without a backslash",
    "->": "there are no functions to define",
    "@": "there are no decorators and no matrices",
    "$": "names are written without a sign before them",
    "`": "text is written in plain quotes",
}
_SIGNAL_PARTS: Final = frozenset(
    {"condition", "when", "if", "signal", "action", "intent", "intents", "order", "side", "size", "name", "do"}
)
"""Names of arguments that people give emit_signal; before any other name, `=` compares."""

_PADDED: Final = re.compile(r"0\d[\d_]*")
_CLOSING: Final = {")": "(", "]": "["}


@dataclass(slots=True)
class SourceText:
    """A source text in a form that the parser can read, with a mapping from its columns to the original ones.

    `continued` holds the lines that begin inside brackets.
    """

    source: str
    usable: bool = True
    origins: dict[int, list[tuple[int, int]]] = field(default_factory=dict[int, list[tuple[int, int]]])
    continued: set[int] = field(default_factory=set[int])

    def span(self, line: int, start: int, end: int) -> TextSpan:
        """The original span of columns `start` to `end` (from 0) of a line (from 1) of the parser's text."""
        return TextSpan(
            line, self._origin(line, start) + 1, max(self._origin(line, end), self._origin(line, start) + 1) + 1
        )

    def _origin(self, line: int, column: int) -> int:
        pairs = self.origins.get(line)
        if not pairs:
            return column
        index = bisect_right(pairs, (column, 1 << 30)) - 1
        if index < 0:
            return column
        ours, theirs = pairs[index]
        return theirs + column - ours


def read(source: str, mode: TextMode, findings: Findings) -> SourceText:
    """Check the characters and brackets of `source`, and rewrite the spellings of other languages."""
    limit = MAX_LENGTH[mode]
    if len(source) > limit:
        findings.lines = [source[:60]]
        findings.error(TextSpan(1, 1, 2), f"the {mode} has more than {limit:,} characters", "Shorten it")
        return SourceText("", usable=False)
    if not source.strip():
        findings.error(TextSpan(1, 1, 2), f"the {mode} is empty", "Write for example `rsi(close, 14) < 30`")
        return SourceText("", usable=False)
    return _Reader(source, mode, findings).run()


class _Reader:
    def __init__(self, source: str, mode: TextMode, findings: Findings) -> None:
        self._source = source
        self._mode: TextMode = mode
        self._findings = findings
        self._text = SourceText("")
        self._out: list[str] = []
        self._line = 1
        self._line_start = 0
        self._shift = 0
        self._open: list[tuple[str, TextSpan]] = []
        self._before: tuple[str, str] = ("", "")
        self._assigned = mode == "expression"
        self._signal = 0

    def run(self) -> SourceText:
        if self._mode == "expression":
            self._out.append("(")
            self._shift = 1
            self._text.origins[1] = [(1, 0)]
        for match in _TOKEN.finditer(self._source):
            self._take(match)
            if len(self._open) > MAX_BRACKETS or (not self._text.usable and self._findings.reported > 10):
                break
        for bracket, span in self._open[:1]:
            self._fatal(span, f"`{bracket}` is never closed", f"Close it with `{ {'(': ')', '[': ']'}[bracket] }`")
        if self._mode == "expression":
            self._out.append("\n)")
        self._text.source = "".join(self._out)
        return self._text

    def _take(self, match: re.Match[str]) -> None:
        lexeme = match.group()
        match match.lastgroup:
            case "space" | "comment":
                self._out.append(lexeme)
                return
            case "newline":
                self._newline(match.end())
                return
            case "op":
                self._operator(lexeme, match)
            case "name" if lexeme in _SPELLINGS:
                self._respell(lexeme, match)
            case "string":
                self._string(lexeme, match)
            case "number":
                self._number(lexeme, match)
            case "other":
                self._stranger(lexeme, match)
            case _:
                self._out.append(lexeme)
        self._before = (self._before[1], lexeme)

    def _span(self, match: re.Match[str]) -> TextSpan:
        start = match.start() - self._line_start
        return TextSpan(self._line, start + 1, start + 1 + len(match.group()))

    def _fatal(self, span: TextSpan, message: str, suggestion: str = "") -> None:
        self._findings.error(span, message, suggestion)
        self._text.usable = False

    def _newline(self, end: int) -> None:
        self._out.append("\n")
        self._line += 1
        self._line_start = end
        self._shift = 0
        if self._open:
            self._text.continued.add(self._line)
        else:
            self._before = ("", "")
            self._assigned = self._mode == "expression"

    def _operator(self, lexeme: str, match: re.Match[str]) -> None:
        if lexeme in _REFUSED:
            self._fatal(self._span(match), f"`{lexeme}` is not part of the language", _REFUSED[lexeme].capitalize())
        elif lexeme in _SPELLINGS or (lexeme == "=" and self._means_equal()):
            self._respell(lexeme, match)
        else:
            self._bracket(lexeme, match)
            self._out.append(lexeme)

    def _means_equal(self) -> bool:
        """Whether a lone `=` is where only a comparison is possible."""
        if self._open:
            before, name = self._before
            keyword = before in {"(", ","} and name.isidentifier()
            return not keyword or (self._signal == len(self._open) and fold(name) not in _SIGNAL_PARTS)
        seen, self._assigned = self._assigned, True
        return seen

    def _respell(self, lexeme: str, match: re.Match[str]) -> None:
        ours = _SPELLINGS.get(lexeme, "==")
        span = self._span(match)
        reason = "compares; a lone `=` gives a name to a value" if lexeme == "=" else "is written here"
        self._findings.error(span, f"`{lexeme}`: `{ours}` {reason}", f"Write `{ours}`", fix=self._spaced(ours, match))
        self._write(self._spaced(ours, match), match)

    def _spaced(self, word: str, match: re.Match[str]) -> str:
        """`word` with the spaces that separate it from its neighbours."""
        if not word.isalpha():
            return word
        before = self._source[match.start() - 1 : match.start()]
        after = self._source[match.end() : match.end() + 1]
        return (" " if before and not before.isspace() else "") + word + ("" if after.isspace() else " ")

    def _write(self, text: str, match: re.Match[str]) -> None:
        self._out.append(text)
        self._shift += len(text) - len(match.group())
        theirs = match.end() - self._line_start
        self._text.origins.setdefault(self._line, []).append((theirs + self._shift, theirs))

    def _bracket(self, lexeme: str, match: re.Match[str]) -> None:
        if lexeme in {"(", "["}:
            if self._before[1] == "emit_signal":
                self._signal = len(self._open) + 1
            self._open.append((lexeme, self._span(match)))
            if len(self._open) == MAX_BRACKETS + 1:
                self._fatal(self._span(match), f"more than {MAX_BRACKETS} brackets are open", "Give parts a name")
        elif lexeme in _CLOSING:
            if not self._open or self._open[-1][0] != _CLOSING[lexeme]:
                opened = f"`{self._open[-1][0]}` is open" if self._open else "nothing is open"
                self._fatal(self._span(match), f"`{lexeme}` closes nothing: {opened}", "Remove it, or open it before")
            else:
                self._open.pop()

    def _string(self, lexeme: str, match: re.Match[str]) -> None:
        after = self._source[match.end() : match.end() + 1]
        if self._source[match.start() - 1 : match.start()].isalpha() and match.start():
            self._fatal(self._span(match), "a text has no letter before its quotes", 'Write it as "text"')
        elif lexeme[1:-1] == "" and after == lexeme[0]:
            self._fatal(self._span(match), "a text has one quote on each side, not three", 'Write it as "text"')
        elif "\\" in lexeme or not lexeme.isprintable():
            self._fatal(self._span(match), "a text holds no backslash and no control character", "Remove it")
        self._out.append(lexeme)

    def _number(self, lexeme: str, match: re.Match[str]) -> None:
        after = self._source[match.end() : match.end() + 1]
        if after.isalpha() or after == "_":
            self._fatal(
                self._span(match),
                f"{quoted(lexeme + after)}: a number ends before a letter",
                "Put a space between them",
            )
        elif lexeme.endswith("_") or "__" in lexeme or _PADDED.fullmatch(lexeme):
            self._fatal(
                self._span(match), f"{quoted(lexeme)} is not a number", "Write it without leading zeros and `_`"
            )
        self._out.append(lexeme)

    def _stranger(self, lexeme: str, match: re.Match[str]) -> None:
        if lexeme in _SPELLINGS:
            self._respell(lexeme, match)
        elif lexeme in "\"'":
            self._fatal(self._span(match), "this quote has no partner on its line", f"Close the text with {lexeme}")
        else:
            shown = quoted(lexeme) if lexeme.isprintable() else f"the character U+{ord(lexeme):04X}"
            self._fatal(self._span(match), f"{shown} is not part of the language", "Use plain letters and signs")
