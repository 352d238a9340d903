"""Pictures: a pure function makes each chart as a Vega-Lite specification, and only this module renders them.

The renderer is the extra `charts` (vl-convert-python): one wheel, no browser, no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, Literal

from api.errors import UserMustAct

Theme = Literal["light", "dark"]
Specification = dict[str, Any]

VEGA_LITE: Final = "6.4"
HOW: Final = "Install heytraders-mcp[charts] for pictures; no browser and no network are needed."
_BARS: Final = "▁▂▃▄▅▆▇█"
_WIDTH: Final = 48
"""Characters of a sparkline."""
_PAPER: Final = {"light": "#ffffff", "dark": "#14171c"}
_INK: Final = {"light": "#1f2328", "dark": "#e6e8eb"}
_FAINT: Final = {"light": "#d9dce1", "dark": "#343a42"}


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture before it is drawn: the specification and a description in words.

    `values` are the numbers for a one-line text version.
    """

    specification: Specification
    alt: str
    values: tuple[float, ...] = ()


def available() -> bool:
    """Whether pictures can be rendered here."""
    return find_spec("vl_convert") is not None


def png(chart: Chart, theme: Theme = "light") -> bytes:
    """The picture, 800 x 480.

    Raises:
        UserMustAct: The extra is not installed.
    """
    found: bytes = _renderer().vegalite_to_png(chart.specification, VEGA_LITE, config=_config(theme))
    return found


def svg(chart: Chart, theme: Theme = "light") -> str:
    """The picture as SVG.

    Raises:
        UserMustAct: The extra is not installed.
    """
    found: str = _renderer().vegalite_to_svg(chart.specification, VEGA_LITE, config=_config(theme))
    return found


def sparkline(values: Sequence[float]) -> str:
    """Numbers as one line of block characters, scaled from the lowest to the highest."""
    if not values:
        return ""
    picked = [values[i * len(values) // _WIDTH] for i in range(_WIDTH)] if len(values) > _WIDTH else list(values)
    low, high = min(picked), max(picked)
    span = high - low or 1.0
    return "".join(_BARS[min(7, int(8 * (value - low) / span))] for value in picked)


def _renderer() -> Any:
    try:
        return import_module("vl_convert")
    except ImportError:
        raise UserMustAct("pictures need vl-convert-python, which is not installed", suggestion=HOW) from None


def _config(theme: Theme) -> Specification:
    """Colours and sizes of everything that is not data."""
    ink, faint = _INK[theme], _FAINT[theme]
    return {
        "background": _PAPER[theme],
        "padding": 12,
        "font": "DejaVu Sans, Liberation Sans, Arial, sans-serif",
        "view": {"stroke": None},
        "title": {
            "color": ink,
            "subtitleColor": ink,
            "anchor": "start",
            "fontSize": 17,
            "subtitleFontSize": 13,
            "offset": 10,
            "subtitlePadding": 4,
        },
        "axis": {
            "labelColor": ink,
            "titleColor": ink,
            "gridColor": faint,
            "domainColor": faint,
            "tickColor": faint,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "labelOverlap": True,
        },
        "legend": {
            "labelColor": ink,
            "titleColor": ink,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "orient": "top",
            "symbolStrokeWidth": 3,
            "titleFontWeight": "normal",
            "labelLimit": 190,
        },
        "text": {"color": ink},
        "rule": {"color": faint},
    }
