"""Reads lines that are not Python: conditions and orders in English, and the line syntax of other languages.

`our_line` replaces what it can translate with certainty. A line that would not become Python stays as it is, so that
its error shows what the author wrote.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Final

from .foreign_calls import OUTPUT_WORDS
from .foreign_words import timeframe_meant
from .lexer import has_refused_literal
from .operators import OPERATORS
from .values import PERCENT_CALLS, PERCENT_STATE
from .words import OTHER_WORDS

_DECLARED: Final = re.compile(
    r"^(\s*)(?:(?:var|varip|let|const|auto|double|float|int|bool|string|series|simple|final|export|def|plot|input|rec)\s+)+(?=[A-Za-z_]\w*\s*:?=[^=])"
)
_TERNARY: Final = re.compile(
    r"^(?P<start>\s*(?:\w+\s*=\s*)?)(?P<test>[^?=][^?]*?)\s*\?\s*(?P<yes>[^:?]+?)\s*:\s*(?P<no>[^:?]+?)\s*$"
)
_PERCENT: Final = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)\s*%(?=\s*(?:[,)\]]|$))")
_COMPARED: Final = re.compile(
    r"(?:^|[(,]|\band|\bor|\bnot)\s*(?P<name>[a-z]\w*)(?:\((?:[^()]|\([^()]*\))*\))?(?:\[[^\]]*\])?"
    r"\s*(?:[<>]=?|[!=]=)\s*-?$"
)
_ARROW: Final = re.compile(r"^\s*(?:f\s*=\s*)?(\w+)\s*\([^)]*\)\s*=>\s*(.+)$")
_DO: Final = r"(?:go\s+|enter\s+|open\s+|take\s+)?(?:a\s+)?(?P<do>buy|sell|long|short|exit|close|enter|cover)\b"
_SPOKEN_ORDER: Final = re.compile(
    rf"^\s*(?:(?:[-*•]|\d+[.)])\s+)?{_DO}(?P<what>[^()=<>]*?)\s+(?:when|if|once|whenever|on)\s+(?P<when>.+?)[.:]?\s*$",
    re.IGNORECASE,
)
_SPOKEN_CONDITION: Final = re.compile(
    rf"^\s*(?:if|when|whenever)\s+(?P<when>[^:]+?)\s*(?:,|:|\bthen\b)\s*(?:begin\s+)?{_DO}[^()]*\.?\s*$", re.IGNORECASE
)
_NAMED_RULE: Final = re.compile(
    r"""^\s*[-*{]?\s*["']?(?P<what>(?:(?:entry|exit|buy|sell|enter|long|short|cover)(?:[_ ](?:long|short|entry|exit|rule|signal|condition|when|if|rules|conditions))*))["']?\s*:\s*["']?(?P<when>[^"'=]*(?:[<>]|cross|above|below)[^"']*?)["']?\s*[,}]?\s*$""",  # noqa: E501
    re.IGNORECASE,
)
_AND_THEN: Final = re.compile(
    r"\s*(?:[,;.]\s*(?:and\s+|then\s+)?|\s+and\s+)(?=(?:buy|sell|short|exit|cover|close|go\s+(?:long|short))\s+(?:\w+\s+){0,2}?(?:when|if|once)\b)",
    re.IGNORECASE,
)
_OPERAND: Final = r"(?:-?\d+(?:\.\d+)?(?:\s*\*\s*)?)?[A-Za-z_][\w.]*(?:\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))?(?:\[[^\]]*\])?|-?\d+(?:\.\d+)?"  # noqa: E501
_CROSSES: Final = r"\s+(?:is\s+)?(?:crosses|crossed|cross|crossing|breaks|moves|rises|falls|drops)\s+(?:back\s+)?"
_SPOKEN: Final = (
    (re.compile(rf"({_OPERAND}){_CROSSES}(?:above|over|up|up through|out above)\s+({_OPERAND})", re.IGNORECASE), r"crossover(\1, \2)"),  # noqa: E501
    (re.compile(rf"({_OPERAND}){_CROSSES}(?:below|under|down|down through)\s+({_OPERAND})", re.IGNORECASE), r"crossunder(\1, \2)"),  # noqa: E501
    (re.compile(rf"({_OPERAND})\s+(?:crosses|crossed|crossing)\s+({_OPERAND})", re.IGNORECASE), r"cross(\1, \2)"),
    (re.compile(r"\s+(?:is\s+|goes\s+|closes\s+)?(?:greater than or equal to|at least|no less than)\s+", re.IGNORECASE), " >= "),  # noqa: E501
    (re.compile(r"\s+(?:is\s+|goes\s+|closes\s+)?(?:less than or equal to|at most|no more than)\s+", re.IGNORECASE), " <= "),  # noqa: E501
    (re.compile(r"\s+(?:is\s+|are\s+|goes\s+|closes\s+|trades\s+)?(?:greater than|higher than|bigger than|larger than|more than|above|over|exceeds)\s+", re.IGNORECASE), " > "),  # noqa: E501
    (re.compile(r"\s+(?:is\s+|are\s+|goes\s+|closes\s+|trades\s+)?(?:less than|lower than|smaller than|below|under)\s+", re.IGNORECASE), " < "),  # noqa: E501
    (re.compile(rf"({_OPERAND})\s+(?:is\s+)?between\s+({_OPERAND})\s+and\s+({_OPERAND})", re.IGNORECASE), r"between(\1, \2, \3)"),  # noqa: E501
    (re.compile(r"(?<=[\w)])\s+gt\s+(?=[\w(])"), " > "),
    (re.compile(r"(?<=[\w)])\s+lt\s+(?=[\w(])"), " < "),
    (re.compile(r"\s+(?:is equal to|equals|is exactly)\s+", re.IGNORECASE), " == "),
)  # fmt: skip
_COMMENT: Final = re.compile(r"//\s*[A-Za-z@]\w*[,.:;]?(?:\s+[A-Za-z]|\s*=|\s*$)")
_BARE: Final = re.compile(
    r"(?<![\w.\"'])(rsi|adx|atr|cci|mfi|willr|stoch_k|obv|macd_line|macd_signal|macd_hist)(?!\s*[\w(.\"'])"
)
_REMARK: Final = re.compile(r"^((?:[^#\"']|\"[^\"]*\"|'[^']*')*?)(\s*#.*)$")
"""Code, and a comment behind it, whose words are not the script's."""

_LONGEST_LINE: Final = 200
"""Characters. Longer lines are not searched for the words of other languages."""
_STRANGE: Final = re.compile(r"\S\s{8}|\d{16}|\w{60}")
"""Nor are lines with a wide gap, or a longer number or name than people write, on which a search takes long."""

_FENCE: Final = re.compile(r"^\s*(?:```|~~~)")
_HEAD: Final = re.compile(
    r"^\s*(?:(?:void|int|double|bool)\s+On\w+\s*\([^)]*\)|int\s+start\s*\(\)|(?:vars?|variables)\s*:.*|#property.*|"
    r"declare\s+\w+|on\s+(?:each\s+|every\s+)?(?:bar|candle|close|tick)\s*:|for each (?:bar|candle)\s*:)\s*\{?\s*;?\s*$",  # noqa: E501
    re.IGNORECASE,
)
_PRICE_WORD: Final = r"open|high|low|close|volume|price"
_UNIT: Final = r"(?:period|bar|candle|hour|day|week|minute|hr|min|d|h|w)s?"
_AVERAGES: Final = {"simple": "sma", "exponential": "ema", "weighted": "wma", "hull": "hma", "smoothed": "rma"}
_INDICATOR: Final = (
    r"(?P<kind>simple|exponential|weighted|hull|smoothed)?\s*(?P<name>moving averages?|average volume|volume average|"
    r"average|mean|highs?|lows?|[a-z]{2,5})(?P<of>\s+of\s+(?:the\s+)?(?:open|high|low|close|volume)s?)?"
)


def our_line(line: str) -> str:
    """A line with the syntax of other languages replaced; unchanged if it has none."""
    remark = _REMARK.match(line) if "#" in line and len(line) <= _LONGEST_LINE else None
    if remark is None or not remark[1].strip():
        return _translated(line)
    ours = _translated(remark[1])
    return line if ours == remark[1] else ours if "\n" in ours else f"{ours}{remark[2]}"


def _translated(line: str) -> str:
    stripped = line.strip()
    if not stripped or len(line) > _LONGEST_LINE or stripped.startswith("#property"):
        return "" if stripped.startswith("#property") else line
    if stripped.startswith("#") or _STRANGE.search(stripped):
        return line
    line = line.rstrip()
    if (
        _FENCE.match(line)
        or _HEAD.match(line)
        or stripped in {"}", "};", "{", "end", "endif", "end;", "pass;", "begin"}
        or re.match(r"^import\s.+\sfrom\s", stripped)
    ):
        return ""
    if stripped.startswith("//"):
        return f"{line[: len(line) - len(line.lstrip())]}# {stripped.lstrip('/').strip()}"
    comment = _COMMENT.search(line)
    if comment and '"' not in line[comment.start() :]:
        line = line[: comment.start()].rstrip()
    line = _DECLARED.sub(r"\1", line.replace(":=", "="))
    if line.rstrip().endswith(";"):
        line = line.rstrip().rstrip(";")
    inputs = re.fullmatch(r"\s*inputs?\s*:\s*(.+)", line, re.IGNORECASE)
    if inputs:
        return "\n".join(f"{name} = {value}" for name, value in re.findall(r"(\w+)\s*\(\s*(-?[\d.]+)\s*\)", inputs[1]))
    if stripped.startswith("{") and stripped.endswith("}") and '":' in stripped:
        parts = [_orders(part) for part in re.split(r",\s*(?=[\"'])", stripped[1:-1])]
        if parts and all(parts):
            return "\n".join(part for part in parts if part)
    line = _numbers(_PERCENT.sub(_without_percent, line))
    orders = _orders(line)
    return _closed(_block(_lines_of_code(line))) if orders is None else orders


def outdented(ours: list[str], lines: list[str]) -> list[str]:
    """The lines without the indent that they have below a head such as `void OnTick() {`."""
    if not any(line.strip() and _HEAD.match(line) for line in lines):
        return ours
    depths = {len(line) - len(line.lstrip()) for line in ours if line.strip() and not line.lstrip().startswith("#")}
    least = min(depths, default=0)
    return [line[least:] if line[:least].isspace() else line for line in ours] if least else ours


def _numbers(line: str) -> str:
    """`50k` and, outside of argument lists, `1,000`."""
    line = re.sub(
        r"(\"[^\"]*\"|'[^']*')|(?<![\w.])(\d+(?:\.\d+)?)k\b",
        lambda m: m[1] or f"{1000 * float(m[2]):.0f}",
        line,
    )
    return re.sub(r"(?<=[<>=])(\s*)(\d{1,3}(?:,\d{3})+)(?![\d.])", lambda m: m[1] + m[2].replace(",", ""), line)


def _orders(line: str) -> str | None:
    """`buy when ...`, `if ... then sell`, `entry: ...`; several of them in one sentence."""
    made: list[str] = []
    for part in _AND_THEN.split(re.sub(r"^\s*(?:[-*•]|\d+[.)])\s+(?=[A-Za-z])", "", line)):
        found = _SPOKEN_ORDER.match(part) or _SPOKEN_CONDITION.match(part)
        rule = None if found else _NAMED_RULE.match(part)
        if found is None and rule is None:
            return None
        when, do = (found["when"], found["do"]) if found else (rule["when"], rule["what"]) if rule else ("", "")
        made.append(_signalled(when, do.lower(), made[0] if made else ""))
    return "\n".join(made) if made else None


def _signalled(when: str, do: str, first: str) -> str:
    """One emission. `it crosses below` refers to the crossing of the `first` one."""
    again = re.fullmatch(
        r"(?:it|they|price)?\s*cross\w*\s+(?:back\s+)?(below|under|down|above|over|up)\.?", when.strip()
    )
    crossing = re.match(r"emit_signal\(cross(?:over|under)(\(.*\)), (?:entry|exit)\(TICKER", first)
    if again and crossing:
        condition = f"cross{'under' if again[1] in {'below', 'under', 'down'} else 'over'}{crossing[1]}"
    else:
        condition = _spoken(when.strip().rstrip(",;"), certain=True)
        condition = _BARE.sub(_with_period, condition)
    side = "SHORT" if re.search(r"short", do) else "LONG"
    leaves = re.match(r"exit|sell|close|cover", do) and not re.match(r"sell[_ ]short", do)
    intent = "exit(TICKER)" if leaves else f'entry(TICKER, "{side}", Weight(0.5))'
    return f"emit_signal({condition}, {intent})"


def _with_period(found: re.Match[str]) -> str:
    operator = OPERATORS[found[1]]
    inputs = "close" if operator.inputs else ""
    plain = operator.name.startswith("macd") or not operator.constants
    return f"{found[1]}({inputs})" if plain else f"{found[1]}({inputs + ', ' if inputs else ''}14)"


def _spoken(text: str, *, certain: bool = False) -> str:
    """A condition in English that contains operators of this language. The text as it is if it does not become one."""
    head, inner, tail = _inside(text)
    if not certain and not re.search(r"[A-Za-z)\]\d]\s+[A-Za-z]+(?:\s+|$)|\d[- ]?[A-Za-z]+\s|[a-z] \d", inner):
        return text
    out = inner
    for pattern, ours in _PHRASES:
        out = pattern.sub(ours, out)
    for pattern, ours in _SPOKEN:
        out = pattern.sub(ours, out)
    out = re.sub(r"\b(?:and then|but|and also|while)\b", "and", out)
    if out == inner:
        return text
    out = _BARE.sub(_with_period, out)
    if not _reads(out) and _reads(inner):
        return text
    if not _reads(out) and head:
        return text
    return f"{head}{out}{tail}"


def _inside(text: str) -> tuple[str, str, str]:
    """The condition in `emit_signal(condition, ...)`, `name = condition` or `if condition:`, with what is around it."""
    emitted = re.match(r"^(\s*emit_signal\(\s*)(.*?)(,\s*\[?\s*(?:entry|exit|rebalance|grid)\(.*)$", text)
    if emitted:
        return emitted[1], emitted[2], emitted[3]
    named = re.match(r"^(\s*(?:\w+\s*=(?!=)\s*|(?:el)?if\s+))(.*?)(\s*(?::|\bthen|\{)?\s*)$", text)
    if named:
        return named[1], named[2], named[3]
    indent = len(text) - len(text.lstrip())
    return text[:indent], text[indent:], ""


def _reads(text: str) -> bool:
    if has_refused_literal(text):
        return False
    try:
        ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _column(text: str | None) -> str:
    word = re.search(r"open|high|low|close|volume", text or "")
    return word[0] if word else "close"


def _counted(found: re.Match[str]) -> str:
    """`50 day moving average`, `14-period RSI`, `20 bar high`; days on shorter bars are a timeframe."""
    name = found["name"].lower()
    bars = found["bars"]
    unit = (found.groupdict().get("unit") or "").lower()
    plain = name.rstrip("s")
    if plain in {"moving average", "average", "mean", "ma"}:
        before = re.findall(_PRICE_WORD, re.split(r"\b(?:and|or)\b", found.string[: found.start()])[-1].lower())
        column = "volume" if before[-1:] == ["volume"] and not found["of"] else _column(found["of"])
        call = f"{_AVERAGES.get((found['kind'] or 'simple').lower(), 'sma')}({column}, {bars})"
    elif plain in {"average volume", "volume average"}:
        call = f"sma(volume, {bars})"
    elif plain in {"high", "low"}:
        call = f"lag({'highest' if plain == 'high' else 'lowest'}({plain}, {bars}), 1)"
    else:
        ours = name if name in OPERATORS else OTHER_WORDS.get(name)
        if ours is None or ours not in OPERATORS or not OPERATORS[ours].constants:
            return found[0]
        operator = OPERATORS[ours]
        series = f"{_column(found['of'])}, " if operator.inputs else ""
        call = f"{ours}({series}{bars})"
    timeframe = timeframe_meant(f"1{unit[0]}") if unit and unit[0] in "dhw" else None
    return f'tf("{timeframe}", {call})' if timeframe else call


def _after(found: re.Match[str]) -> str:
    """`sma 20`, `RSI(14)` in a sentence."""
    ours = found["name"].lower()
    operator = OPERATORS.get(ours)
    if operator is None or not operator.constants or len(operator.inputs) > 1:
        return found[0]
    return f"{ours}({'close, ' if operator.inputs else ''}{found['bars']})"


def _previous(found: re.Match[str]) -> str:
    words = found.groupdict()
    bars = words.get("bars") or "1"
    return f"{_column(words['column'])}[-{int(bars) + 1}]"


def _moved(found: re.Match[str]) -> str:
    """`drops 5% in 3 bars`; a day is the closed day's change."""
    down = re.match(r"drop|fall|decline|lose|dip", found["verb"], re.IGNORECASE)
    size = float(found["size"]) / 100
    limit = f"< -{size:g}" if down else f"> {size:g}"
    unit = (found["unit"] or "bar").lower()[0]
    series = f"pct_change({_column(found['column'])}, {found['bars'] or 1})"
    timeframe = {"d": "1d", "h": "1h", "w": "1w"}.get(unit)
    return f'tf("{timeframe}", {series}) {limit}' if timeframe else f"{series} {limit}"


def _away(found: re.Match[str]) -> str:
    """`5% below its 20 day high`."""
    share = float(found["size"]) / 100
    above = found["side"].lower() in {"above", "over", "higher than"}
    return f" {'>' if above else '<'} {1 + share if above else 1 - share:g} * "


def _known_output(found: re.Match[str]) -> str:
    return OUTPUT_WORDS.get(re.sub(r"[^a-z]", "", found[0].lower()), found[0])


_PHRASES: Final[tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE), ours)
    for pattern, ours in (
        (r"(?<![\w.])(?:the|its|current|latest|today's|our)\s+(?=[A-Za-z\d])", ""),
        (r"(?<![\w.])(?:a|an)\s+(?=\d|moving|simple|exp)", ""),
        (r"\b(?:price|close|it|market)\s+(?:closes|closing|closed|is trading|trades)\s+(?=above|below|over|under)", "close "),  # noqa: E501
        (r"\bthere is\s+(?:a\s+)?", ""),
        (r"\bgolden cross\b", "crossover(sma(close, 50), sma(close, 200))"),
        (r"\bdeath cross\b", "crossunder(sma(close, 50), sma(close, 200))"),
        (rf"(?P<column>{_PRICE_WORD})?\s*(?P<verb>drops?|falls?|declines?|loses?|dips?|rises?|gains?|jumps?|climbs?)\s+(?:by\s+)?(?:more than\s+|at least\s+)?(?P<size>\d+(?:\.\d+)?)\s*(?:%|percent)(?:\s+(?:in|over|within)\s+(?:a\s+|one\s+|the last\s+|last\s+)?(?P<bars>\d+)?\s*(?P<unit>bar|candle|day|hour|week)s?)?", _moved),  # noqa: E501
        (r"\s+(?:is\s+|are\s+)?(?:at least\s+|more than\s+)?(?P<size>\d+(?:\.\d+)?)\s*(?:%|percent)\s+(?P<side>above|below|over|under|higher than|lower than)\s+", _away),  # noqa: E501
        (rf"(?P<bars>\d+)[- ]?(?P<unit>{_UNIT})?[- ]+{_INDICATOR}\b(?!\s*\()", _counted),
        (r"(?<![\w.])(?P<name>sma|ema|wma|hma|rma|rsi|atr|adx|cci|mfi|willr|roc|mom|kama|dema|tema)[- ]+(?:of\s+)?(?P<bars>\d+)(?![\w.%])", _after),  # noqa: E501
        (r"(?<![\w.])(?P<name>rsi|atr|adx|cci|mfi|willr|sma|ema|wma)\s*\(\s*(?P<bars>\d+)\s*\)", _after),
        (r"(?<![\w.])(?:macd|signal|upper|lower|middle)\s+(?:bollinger\s+|bb\s+|donchian\s+|keltner\s+)?(?:line|histogram|signal line|signal|hist|bands?)\b", _known_output),  # noqa: E501
        (r"\bbollinger(?:'s)?\s+(?:upper|lower|middle)(?:\s+band)?", _known_output),
        (r"\b(?P<column>open|high|low|close|volume)\s+(?:of|from)\s+(?P<bars>\d+)\s+(?:bar|candle|day)s?(?:\s+ago)?", _previous),  # noqa: E501
        (r"\b(?P<column>open|high|low|close|volume)\s+(?P<bars>\d+)\s+(?:bar|candle)s?\s+ago", _previous),
        (r"\b(?:previous|prior|last|yesterday's|preceding)\s+(?:bar's\s+|candle's\s+|day's\s+)?(?P<column>open|high|low|close|volume)(?:\s+price)?\b", _previous),  # noqa: E501
        (r"\b(?:highest|max(?:imum)?)\s+(?:high|close|price)?\s*(?:of|over|in)\s+(?:last|past|previous)?\s*(?P<n>\d+)\s+(?:bars|candles|periods)", r"lag(highest(high, \g<n>), 1)"),  # noqa: E501
        (r"\b(?:lowest|min(?:imum)?)\s+(?:low|close|price)?\s*(?:of|over|in)\s+(?:last|past|previous)?\s*(?P<n>\d+)\s+(?:bars|candles|periods)", r"lag(lowest(low, \g<n>), 1)"),  # noqa: E501
        (r"\baverage volume\b|\bvolume average\b", "sma(volume, 20)"),
        (r"\s+(?:is\s+)?(?:more than\s+)?(?:twice|double)\s+", " > 2 * "),
        (r"\s+(?:is\s+)?(?:(?:more|greater|higher|larger) than\s+|above\s+|over\s+)?(?P<n>\d+(?:\.\d+)?)\s*(?:times|x)\s+", r" > \g<n> * "),  # noqa: E501
        (r"\b(rsi(?:\([^()]*\))?)\s+(?:is\s+|becomes\s+)?oversold\b", r"\1 < 30"),
        (r"\b(rsi(?:\([^()]*\))?)\s+(?:is\s+|becomes\s+)?overbought\b", r"\1 > 70"),
        (r"\b(?:closing|current|market)\s+price\b|(?<![\w.(])price(?!\w|\()|(?<![\w.(])(?:closing|closes)(?=\s+(?:above|below|over|under))", "close"),  # noqa: E501
        (r"(?<![\w.\"'])RSI(?![\w(\"'])", "rsi"),
        (r"(?<![\w.\"'])MACD(?![\w(\"'])", "macd_line"),
    )
)  # fmt: skip


def _without_percent(found: re.Match[str]) -> str:
    """`5%` as the fraction 0.05; beside a value in percent, as in `rsi(close, 14) < 30%`, as the number itself."""
    other = _COMPARED.search(found.string[: found.start()])
    name = other["name"] if other else ""
    scale = {(o.low, o.high) for o in OPERATORS[name].outputs} if name in OPERATORS else set[tuple[float, float]]()
    percent = name in PERCENT_CALLS | PERCENT_STATE or not scale.isdisjoint({(0, 100), (-100, 0), (-100, 100)})
    return f"{float(found[1]) / (1 if percent else 100):g}"


def _lines_of_code(line: str) -> str:
    arrow = _ARROW.match(line)
    if arrow:
        return f"{arrow[1]} = {arrow[2]}"
    choice = _TERNARY.match(line)
    if choice and '"' not in line:
        return f"{choice['start']}{choice['yes']} if {choice['test'].strip()} else {choice['no']}"
    return _spoken(line)


def _block(line: str) -> str:
    """`if` and `else` with the required colon, and the order on the same line behind it."""
    code = line.rstrip()
    if re.match(r"^\s*\}?\s*else\s*\{?$", code):
        return re.sub(r"\}?\s*else\s*\{?$", "else:", code)
    code = re.sub(r"^(\s*)\}?\s*else if\b", r"\1elif", code)
    ordered = re.match(r"^(\s*(?:el)?if\s*)(\(.*?\))\s*([A-Za-z_][\w.]*\(.*\))$", code)
    if ordered and _reads(ordered[2]) and ordered[3].split("(")[0] not in OPERATORS:
        return f"{ordered[1]}{ordered[2]}: {ordered[3]}"
    if re.match(r"^\s*(?:el)?if\b", code) and not code.endswith(":") and ":" not in code:
        return re.sub(r"\s*(?:\{|\bthen)?$", "", code) + ":"
    return code if code != line.rstrip() else line


def _closed(line: str) -> str:
    """A signal without the comma before its intent, or without its last brackets."""
    if not re.match(r"^\s*emit_signal\(", line) or line.rstrip().endswith((",", "[")):
        return line
    out = re.sub(r"(?<=[\w)\]])\s+(?=(?:entry|exit|rebalance|grid)\()", ", ", line, count=1)
    out = re.sub(r"\b(and|or|not),\s*(?=entry|exit)", r"\1 ", out)
    bare = re.sub(r"\"[^\"]*\"|'[^']*'|#.*", "", out)
    missing = bare.count("(") - bare.count(")")
    if missing > 0 and re.search(r"(?:entry|exit|rebalance)\(.+\)\s*$", bare) and "#" not in out:
        out = out.rstrip() + ")" * missing
    return out
