"""The charts: each is a pure function from figures to a Vega-Lite specification of 800 x 480 with a description.

Colours are those of Okabe and Ito, which people with any colour vision can tell apart. Gain is blue and loss orange.
Shape, sign or position always repeats the meaning of a colour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any, Final

from . import Chart, Specification

BLUE: Final = "#2a8fd0"
ORANGE: Final = "#e69f00"
RED: Final = "#d55e00"
GREY: Final = "#8b929b"
SERIES: Final = ("#2a8fd0", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#a39800", "#8b929b")
_DASHES: Final = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [1, 0], [6, 3], [2, 2], [4, 4])
WIDTH: Final = 700
HEIGHT: Final = 360
LINE_CHARACTERS: Final = 110
"""Of the words below a title; more would widen the picture."""
_SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v6.json"
_TIME: Final = {"field": "time", "type": "temporal", "title": None, "axis": {"tickCount": 8}}

Point = tuple[str, float]
ChartRow = Mapping[str, Any]


def equity_chart(title: str, strategy: Sequence[Point], hold: Sequence[Point], summary: str) -> Chart:
    """Equity compared with holding, with the drawdown below."""
    rows = [{"time": t, "value": v, "what": "Strategy"} for t, v in strategy]
    rows += [{"time": t, "value": v, "what": "Buy and hold"} for t, v in hold]
    falls = _drawdown(strategy)
    lines = {
        "width": WIDTH,
        "height": 230,
        "data": {"values": rows},
        "mark": {"type": "line", "clip": True},
        "encoding": {
            "x": {**_TIME, "axis": {"labels": False, "ticks": False, "tickCount": 8}},
            "y": _number("value", "Equity", ",.0f"),
            "color": _named(["Strategy", "Buy and hold"], [BLUE, GREY]),
            "strokeWidth": {
                "field": "what",
                "title": None,
                "scale": {"domain": ["Strategy", "Buy and hold"], "range": [2.4, 1.6]},
            },
        },
    }
    below = {
        "width": WIDTH,
        "height": 80,
        "data": {"values": falls},
        "mark": {"type": "area", "color": RED, "opacity": 0.55, "line": {"color": RED, "strokeWidth": 1}},
        "encoding": {"x": _TIME, "y": _number("value", "Drawdown", ".0%")},
    }
    return Chart(
        _chart(title, summary, {"vconcat": [lines, below], "spacing": 6}),
        f"{title}. {summary}. Deepest drawdown {min((f['value'] for f in falls), default=0.0):.1%}.",
        tuple(v for _, v in strategy),
    )


def trades_chart(
    title: str, candles: Sequence[ChartRow], trades: Sequence[ChartRow], levels: Sequence[ChartRow], summary: str
) -> Chart:
    """Candles with the ends of trades and the levels of their stops and targets; an end at a stop is a cross.

    A level that would squeeze the candles into less than half of the height is told in words instead.
    """
    low, high = _range(candles, trades)
    near = [each for each in levels if low - 0.4 * (high - low) <= each["price"] <= high + 0.4 * (high - low)]
    drawn_trades = {(each["trade"], each["kind"]) for each in near}
    far = [each for each in levels if (each["trade"], each["kind"]) not in drawn_trades]
    if near:
        summary += f"; dashes: {' and '.join(dict.fromkeys(each['kind'] for each in near))}"
    if far:
        summary += f"; not drawn: {_told(far)}"
    levels = near
    reach = [low, high, *(each["price"] for each in near)]
    pad = 0.04 * (max(reach) - min(reach))
    price = _number("low", "Price", "~s")
    price["scale"] = {"zero": False, "nice": False, "domain": [min(reach) - pad, max(reach) + pad]}
    price["axis"] = {"format": ",.5~r", "tickCount": 6}
    wick = {"mark": {"type": "rule", "strokeWidth": 1.4}, "encoding": {"y": price, "y2": {"field": "high"}}}
    body = {
        "mark": {"type": "bar", "size": max(3.0, min(12.0, 0.66 * WIDTH / max(1, len(candles))))},
        "encoding": {"y": {"field": "open", "type": "quantitative"}, "y2": {"field": "close"}},
    }
    direction = {"condition": {"test": "datum.close >= datum.open", "value": BLUE}, "value": ORANGE}
    bars = {
        "data": {"values": list(candles)},
        "encoding": {"x": _TIME, "color": direction},
        "layer": [wick, body],
    }
    marks = [mark for trade in trades for mark in _ends(trade)]
    shapes = {"entry": "triangle-up", "exit": "triangle-down", "stop": "cross"}
    fills = {"entry": "#009e73", "exit": "#cc79a7", "stop": RED}
    kinds = [kind for kind in shapes if any(mark["kind"] == kind for mark in marks)]
    ends = {
        "data": {"values": marks},
        "mark": {"type": "point", "filled": True, "size": 130, "opacity": 1, "stroke": "#ffffff", "strokeWidth": 0.8},
        "encoding": {
            "x": {"field": "time", "type": "temporal"},
            "y": {"field": "price", "type": "quantitative"},
            "shape": {
                "field": "kind",
                "title": None,
                "scale": {"domain": kinds, "range": [shapes[kind] for kind in kinds]},
                "legend": {"symbolSize": 130, "symbolStrokeWidth": 0.8},
            },
            "fill": {
                "field": "kind",
                "title": None,
                "scale": {"domain": kinds, "range": [fills[kind] for kind in kinds]},
            },
        },
    }
    links = {
        "data": {"values": [dict(trade) for trade in trades]},
        "mark": {"type": "rule", "strokeDash": [4, 3], "strokeWidth": 1.4},
        "encoding": {
            "x": {"field": "entry_time", "type": "temporal"},
            "x2": {"field": "exit_time"},
            "y": {"field": "entry_price", "type": "quantitative"},
            "y2": {"field": "exit_price"},
            "color": {"value": GREY},
        },
    }
    colours = {"stop level": RED, "target": "#009e73"}
    known = [kind for kind in colours if any(level["kind"] == kind for level in levels)]
    steps = {
        "data": {"values": list(levels)},
        "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2, "strokeDash": [5, 3]},
        "encoding": {
            "x": {"field": "time", "type": "temporal"},
            "y": {"field": "price", "type": "quantitative"},
            "detail": {"field": "trade"},
            "stroke": {
                "field": "kind",
                "title": None,
                "scale": {"domain": known, "range": [colours[kind] for kind in known]},
                "legend": {"symbolType": "stroke", "symbolDash": [5, 3]},
            },
        },
    }
    drawn = [bars, steps, links, ends] if levels else [bars, links, ends]
    layers: Specification = {"width": WIDTH, "height": HEIGHT, "layer": drawn}
    apart = {"resolve": {"scale": {"color": "independent", "stroke": "independent"}}}
    return Chart(
        _chart(title, summary, {**layers, **apart}),
        f"{title}. {summary}.",
        tuple(float(c["close"]) for c in candles),
    )


def _range(candles: Sequence[ChartRow], trades: Sequence[ChartRow]) -> tuple[float, float]:
    """The lowest and highest price of candles and fills."""
    fills = [float(trade[end]) for trade in trades for end in ("entry_price", "exit_price")]
    lows, highs = [float(c["low"]) for c in candles], [float(c["high"]) for c in candles]
    return min([*lows, *fills], default=0.0), max([*highs, *fills], default=1.0)


def _told(levels: Sequence[ChartRow]) -> str:
    """The last level of each trade and kind, in words."""
    last = {(each["trade"], each["kind"]): each["price"] for each in levels}
    return ", ".join(f"{kind} {price:,.6g}" for (_, kind), price in last.items())


def _ends(trade: ChartRow) -> list[dict[str, Any]]:
    stopped = trade["exit_reason"] in ("stop_loss", "trailing_stop", "liquidation")
    return [
        {"time": trade["entry_time"], "price": trade["entry_price"], "kind": "entry"},
        {"time": trade["exit_time"], "price": trade["exit_price"], "kind": "stop" if stopped else "exit"},
    ]


def heatmap_chart(
    title: str, names: tuple[str, str], cells: Sequence[tuple[float, float, float]], objective: str, summary: str
) -> Chart:
    """A sweep over two parameters: each cell the best score of its values, the best one framed."""
    rows = [{"x": x, "y": y, "score": score} for x, y, score in cells]
    best = max(rows, key=lambda row: row["score"])
    low, high = min(row["score"] for row in rows), best["score"]
    x = {"field": "x", "type": "ordinal", "title": names[0], "axis": {"labelAngle": 0}}
    y = {"field": "y", "type": "ordinal", "title": names[1], "sort": "descending"}
    color = {
        "field": "score",
        "type": "quantitative",
        "title": objective.replace("_", " "),
        "scale": {"scheme": "viridis", "domain": [low, high]},
        "legend": {"orient": "right", "gradientLength": 240},
    }
    layer: list[Specification] = [
        {"mark": {"type": "rect"}, "encoding": {"x": x, "y": y, "color": color}},
        {
            "transform": [{"filter": f"datum.x == {best['x']} && datum.y == {best['y']}"}],
            "mark": {"type": "rect", "filled": False, "stroke": RED, "strokeWidth": 3},
            "encoding": {"x": x, "y": y},
        },
    ]
    if len(rows) <= 120:
        middle = (low + high) / 2
        ink = {"condition": {"test": f"datum.score > {middle}", "value": "#111111"}, "value": "#f4f4f4"}
        text = {"field": "score", "type": "quantitative", "format": ".2f"}
        layer.append(
            {"mark": {"type": "text", "fontSize": 12}, "encoding": {"x": x, "y": y, "text": text, "color": ink}}
        )
    return Chart(
        _chart(title, summary, {"width": WIDTH - 90, "height": HEIGHT, "data": {"values": rows}, "layer": layer}),
        f"{title}. {summary}. The best cell is {names[0]}={best['x']:g}, {names[1]}={best['y']:g} with {high:.2f}.",
        tuple(row["score"] for row in rows),
    )


def months_chart(title: str, months: Mapping[str, Sequence[float | None]], summary: str) -> Chart:
    """The return of each month, percent; the whole year at the right."""
    names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Year"]
    rows: list[dict[str, Any]] = [
        {"year": year, "month": names[i], "value": value}
        for year, values in months.items()
        for i, value in enumerate(values)
        if value is not None
    ]
    most = max((abs(row["value"]) for row in rows if row["month"] != "Year"), default=1.0) or 1.0
    x = {"field": "month", "type": "ordinal", "sort": names, "title": None, "axis": {"labelAngle": 0, "orient": "top"}}
    y = {"field": "year", "type": "ordinal", "title": None}
    color = {
        "field": "value",
        "type": "quantitative",
        "scale": {"range": [RED, "#f5f1ea", BLUE], "domain": [-most, 0, most], "clamp": True, "interpolate": "rgb"},
        "legend": None,
    }
    layer = [
        {"mark": {"type": "rect"}, "encoding": {"x": x, "y": y, "color": color}},
        {
            "mark": {"type": "text", "fontSize": 12},
            "encoding": {
                "x": x,
                "y": y,
                "text": {"field": "value", "type": "quantitative", "format": "+.1f"},
                "color": {"value": "#1a1a1a"},
            },
        },
    ]
    height = min(HEIGHT, 60 * max(1, len(months)))
    return Chart(
        _chart(title, summary, {"width": WIDTH, "height": height, "data": {"values": rows}, "layer": layer}),
        f"{title}. {summary}. "
        + " ".join(f"{year}: {values[-1]:+.1f} %." for year, values in months.items() if values[-1] is not None),
        tuple(row["value"] for row in rows if row["month"] != "Year"),
    )


def comparison_chart(title: str, curves: Mapping[str, Sequence[Point]], summary: str) -> Chart:
    """Several equity curves, each starting at 100, labelled at their ends."""
    rows = [
        {"time": t, "value": 100.0 * v / points[0][1], "what": name}
        for name, points in curves.items()
        for t, v in points
    ]
    last = [
        {"time": points[-1][0], "value": 100.0 * points[-1][1] / points[0][1], "what": name}
        for name, points in curves.items()
    ]
    _spread(last, [100.0 * v / points[0][1] for points in curves.values() for _, v in points])
    names = list(curves)
    color = _named(names, list(SERIES[: len(names)]))
    dash = {"field": "what", "title": None, "scale": {"domain": names, "range": list(_DASHES)}}
    y = _number("value", "Start = 100", ",.0f")
    layer = [
        {
            "data": {"values": rows},
            "mark": {"type": "line", "strokeWidth": 2.2},
            "encoding": {"x": _TIME, "y": y, "color": color, "strokeDash": dash},
        },
        {
            "data": {"values": last},
            "mark": {"type": "text", "align": "left", "dx": 5, "fontSize": 12},
            "encoding": {
                "x": {"field": "time", "type": "temporal"},
                "y": {"field": "place", "type": "quantitative"},
                "text": {"field": "value", "type": "quantitative", "format": ".0f"},
                "color": color,
            },
        },
    ]
    ended = ", ".join(f"{row['what']} {row['value']:.0f}" for row in last)
    return Chart(
        _chart(title, summary, {"width": WIDTH - 30, "height": HEIGHT - 20, "layer": layer}),
        f"{title}. At the end: {ended}.",
    )


def _spread(labels: list[dict[str, Any]], values: Sequence[float]) -> None:
    """Give each label a `place` near its value so that no labels overlap: one line of text is 4 % of the height."""
    line = 0.045 * ((max(values) - min(values)) or 1.0)
    ranked = sorted(labels, key=lambda label: label["value"])
    for number, label in enumerate(ranked):
        label["place"] = label["value"]
        if number and label["place"] < ranked[number - 1]["place"] + line:
            label["place"] = ranked[number - 1]["place"] + line


def walk_forward_chart(title: str, curve: Sequence[Point], folds: Sequence[ChartRow], summary: str) -> Chart:
    """The stitched out-of-sample curve over its test windows, each with the values chosen for it."""
    bands = [{"from": f["from"], "to": f["to"], "odd": i % 2, "chosen": _listed(f)} for i, f in enumerate(folds)]
    begin = {"field": "from", "type": "temporal"}
    y = {**_number("value", "Equity out of sample", ",.0f"), "scale": {"zero": False, "padding": 40}}
    label = {"type": "text", "align": "left", "baseline": "top", "dx": 4, "fontSize": 11, "lineBreak": "\n", "y": 4}
    layer: list[Specification] = [
        {
            "data": {"values": bands},
            "mark": {"type": "rect", "color": GREY},
            "encoding": {
                "x": begin,
                "x2": {"field": "to"},
                "opacity": {"condition": {"test": "datum.odd == 1", "value": 0.22}, "value": 0.09},
            },
        },
        {"data": {"values": bands}, "mark": label, "encoding": {"x": begin, "text": {"field": "chosen"}}},
        {
            "data": {"values": [{"time": t, "value": v} for t, v in curve]},
            "mark": {"type": "line", "color": BLUE, "strokeWidth": 2.4},
            "encoding": {
                "x": _TIME,
                "y": y,
            },
        },
    ]
    grown = curve[-1][1] / curve[0][1] - 1.0 if curve else 0.0
    return Chart(
        _chart(title, summary, {"width": WIDTH, "height": HEIGHT, "layer": layer}),
        f"{title}. {summary}. {len(folds)} test windows; the curve changes by {grown:+.1%}.",
        tuple(v for _, v in curve),
    )


def bars_chart(title: str, values: Mapping[str, float], unit: str, summary: str) -> Chart:
    """One bar per name, the largest first; values below zero in the colour of loss."""
    rows = [{"name": name, "value": value} for name, value in values.items()]
    y = {"field": "name", "type": "nominal", "sort": "-x", "title": None, "axis": {"labelLimit": 200}}
    x = {"field": "value", "type": "quantitative", "title": unit, "scale": {"padding": 60}}
    color = {"condition": {"test": "datum.value < 0", "value": RED}, "value": BLUE}
    label = {"field": "value", "type": "quantitative", "format": "+.2f"}
    layer: list[Specification] = [
        {"mark": {"type": "bar", "height": {"band": 0.7}}, "encoding": {"x": x, "y": y, "color": color}},
        {
            "mark": {
                "type": "text",
                "align": {"expr": "datum.value < 0 ? 'right' : 'left'"},
                "dx": {"expr": "datum.value < 0 ? -5 : 5"},
                "fontSize": 12,
            },
            "encoding": {"x": x, "y": y, "text": label},
        },
    ]
    height = min(HEIGHT, 40 * max(2, len(rows)))
    shown = ", ".join(f"{name} {value:+.2f}" for name, value in list(values.items())[:8])
    return Chart(
        _chart(title, summary, {"width": WIDTH - 130, "height": height, "data": {"values": rows}, "layer": layer}),
        f"{title}. {summary}. {unit}: {shown}.",
        tuple(values.values()),
    )


def allocation_chart(title: str, times: Sequence[str], books: Mapping[str, Sequence[float]], summary: str) -> Chart:
    """The money of each book, stacked: the upper edge is the account."""
    names = list(books)
    rows = [
        {"time": at, "value": value, "what": name, "order": order}
        for order, (name, values) in enumerate(books.items())
        for at, value in zip(times, values, strict=True)
    ]
    area = {
        "data": {"values": rows},
        "mark": {"type": "area", "opacity": 0.85, "line": {"strokeWidth": 1}},
        "encoding": {
            "x": _TIME,
            "y": {**_number("value", "Equity", ",.0f", zero=True), "stack": "zero"},
            "color": {**_named(names, list(SERIES[: len(names)])), "legend": {"symbolType": "square", "columns": 3}},
            "order": {"field": "order", "type": "quantitative"},
        },
    }
    ends = {name: values[-1] for name, values in books.items()}
    whole = sum(ends.values()) or 1.0
    shares = ", ".join(f"{name} {value / whole:.0%}" for name, value in ends.items())
    return Chart(
        _chart(title, summary, {"width": WIDTH, "height": HEIGHT - 20, **area}),
        f"{title}. {summary} At the end: {shares}.",
        tuple(sum(values) for values in zip(*books.values(), strict=True)),
    )


def _listed(fold: ChartRow) -> str:
    """The values of a fold, one per line."""
    return "\n".join(f"{name} {value:g}" for name, value in fold.items() if name not in ("from", "to"))


def _chart(title: str, summary: str, body: Specification) -> Specification:
    lines = wrap(summary, LINE_CHARACTERS)
    return {"$schema": _SCHEMA, "title": {"text": title, "subtitle": lines}, "autosize": {"type": "pad"}, **body}


def _number(field: str, title: str, form: str, *, zero: bool = False) -> Specification:
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "scale": {"zero": zero, "nice": True},
        "axis": {"format": form, "tickCount": 6},
    }


def _named(names: list[str], colours: list[str]) -> Specification:
    return {
        "field": "what",
        "type": "nominal",
        "title": None,
        "scale": {"domain": names, "range": colours},
        "legend": {"symbolType": "stroke"},
    }


def _drawdown(points: Sequence[Point]) -> list[dict[str, Any]]:
    peak = points[0][1] if points else 0.0
    found: list[dict[str, Any]] = []
    for time, value in points:
        peak = max(peak, value)
        found.append({"time": time, "value": value / peak - 1.0 if peak > 0 else 0.0})
    return found
