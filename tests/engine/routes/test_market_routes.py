"""Tickers, candles, and expressions over one symbol and many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from api.exchanges import EXCHANGES
from api.symbols import Instrument
from engine.engine import Engine
from tests.candle_files import import_file
from tests.engine.conftest import Call


async def data_of(call: Call, method: str, path: str, **request: Any) -> dict[str, Any]:
    """The data of a successful answer."""
    answer = await call(method, path, **request)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def error_of(call: Call, method: str, path: str, **request: Any) -> dict[str, Any]:
    """The error of a refused request."""
    answer = await call(method, path, **request)
    assert answer.status_code >= 400, answer.text
    return answer.json()["error"]


async def test_tickers_need_no_key_and_list_the_largest_of_binance(call: Call) -> None:
    data = await data_of(call, "GET", "/market/tickers", key=None)

    assert data["exchange"] == "binance"
    assert [t["rank"] for t in data["tickers"]] == list(range(1, 51))
    assert data["tickers"][0]["ticker"] == "BINANCE:BTC/USDT"
    assert all(t["source"] == "simulated" and t["price"] > 0 for t in data["tickers"])


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_every_exchange_lists_symbols_of_its_own_market(call: Call, exchange: str) -> None:
    data = await data_of(call, "GET", f"/market/tickers?exchange={exchange}&limit=500", key=None)

    assert data["total"] == len(data["tickers"]) > 0
    assert {t["market_type"] for t in data["tickers"]} == {EXCHANGES[exchange].market_type}  # pyright: ignore[reportArgumentType] - a key of the table


async def test_all_exchanges_together_list_at_least_two_hundred_symbols(call: Call) -> None:
    totals = [(await data_of(call, "GET", f"/market/tickers?exchange={e}&limit=1"))["total"] for e in EXCHANGES]

    assert sum(totals) >= 200


@pytest.mark.parametrize("category", ["top_market_cap", "trending", "Top Market Cap"])
async def test_tickers_of_a_category(call: Call, category: str) -> None:
    data = await data_of(call, "GET", "/market/tickers", params={"category": category, "limit": 500})

    assert data["tickers"]
    assert all(category.lower().replace(" ", "_") in t["categories"] for t in data["tickers"])


@pytest.mark.parametrize("sector", ["DeFi", "defi", "L1", "AI"])
async def test_tickers_of_a_sector(call: Call, sector: str) -> None:
    data = await data_of(call, "GET", f"/market/tickers?sector={sector}&limit=500")

    assert data["tickers"]
    assert {t["sector"].casefold() for t in data["tickers"]} == {sector.casefold()}


async def test_filters_narrow_one_another(call: Call) -> None:
    sector = await data_of(call, "GET", "/market/tickers?sector=L1&limit=500")
    both = await data_of(call, "GET", "/market/tickers?sector=L1&category=top_market_cap&limit=500")
    found = await data_of(call, "GET", "/market/tickers?sector=L1&search=btc")

    assert 0 < both["total"] < sector["total"]
    assert all("BTC" in t["symbol"] for t in found["tickers"])


@pytest.mark.parametrize("search", ["rates+federal+reserve+cut", "will+the+federal+reserve+cut+interest+rates+soon"])
async def test_a_question_is_found_by_its_words_in_any_order_or_by_most_of_them(call: Call, search: str) -> None:
    found = await data_of(call, "GET", f"/market/tickers?exchange=polymarket&search={search}")

    assert found["tickers"]
    assert all("Federal Reserve cut interest rates" in t["title"] for t in found["tickers"])
    assert all(t["symbol"].isdigit() for t in found["tickers"])


async def test_a_price_says_when_its_bar_closed(call: Call, engine: Engine, tmp_path: Path) -> None:
    rows = "".join(f"{1_704_067_200 + hour * 3_600},10,90,9,{11 + hour},5\n" for hour in range(30))
    path = tmp_path / "old.csv"
    path.write_text("time,open,high,low,close,volume\n" + rows)
    import_file(engine.store, path, Instrument("binance", "OLDCOIN", "USDT"), "1h")
    old = (await data_of(call, "GET", "/market/tickers?search=OLDCOIN"))["tickers"][0]

    assert (old["price"], old["as_of"]) == (40, "2024-01-02T06:00:00Z")
    assert old["change_24h_pct"] == pytest.approx(100 * (40 / 16 - 1), abs=1e-4)


async def test_candles_with_holes_are_counted_and_marked(call: Call, engine: Engine, tmp_path: Path) -> None:
    kept = [minute for minute in range(360) if minute not in {70, 71, *range(180, 240)}]
    rows = "".join(f"{1_704_067_200 + minute * 60},10,12,9,11,5\n" for minute in kept)
    path = tmp_path / "holes.csv"
    path.write_text("time,open,high,low,close,volume\n" + rows)
    import_file(engine.store, path, Instrument("binance", "HOLES", "USDT"), "1m", allow_gaps=True)
    hours = await data_of(call, "GET", "/market/ohlcv?symbol=HOLES/USDT&timeframe=1h")

    assert [row[0][11:16] for row in hours["candles"]] == ["00:00", "01:00", "02:00", "04:00", "05:00"]
    assert (hours["missing"], hours["partial"]) == (1, ["2024-01-01T01:00:00Z"])
    assert hours["candles"][1][5] == 58 * 5


async def test_a_last_bar_made_of_too_few_shorter_bars_is_said(call: Call, engine: Engine, tmp_path: Path) -> None:
    for name, minutes in (("HALF", [*range(119), *range(120, 149), 179]), ("WHOLE", range(180))):
        rows = "".join(f"{1_704_067_200 + minute * 60},10,12,9,11,5\n" for minute in minutes)
        (tmp_path / f"{name}.csv").write_text("time,open,high,low,close,volume\n" + rows)
        instrument = Instrument("binance", name, "USDT")
        import_file(engine.store, tmp_path / f"{name}.csv", instrument, "1m", allow_gaps=True)
    universe = {"universe": ["HALF/USDT", "WHOLE/USDT"], "timeframe": "1h"}
    half, whole = [
        await data_of(call, "POST", "/market/evaluate", json={"symbol": f"{name}/USDT", "expression": "lag(volume, 1)"})
        for name in ("HALF", "WHOLE")
    ]
    scanned = await data_of(call, "POST", "/market/scan", json={**universe, "condition": "volume < 200"})
    ranked = await data_of(call, "POST", "/market/rank", json={**universe, "expression": "volume"})

    assert "The last bar was made of fewer shorter bars" in half["note"]
    assert "Before the last bar, 1 bar of those that count had too few shorter bars." in half["note"]
    assert "fewer shorter bars" not in (whole.get("note") or "")
    assert scanned["matched"] == ["HALF/USDT"]
    for answer in (scanned, ranked):
        assert answer["note"].startswith("HALF/USDT: the last bar was made of fewer shorter bars")


@pytest.mark.parametrize(("field", "named"), [("category", "trending"), ("sector", "DeFi")])
async def test_an_unknown_filter_word_is_refused_with_the_known_ones(call: Call, field: str, named: str) -> None:
    error = await error_of(call, "GET", f"/market/tickers?{field}=nonsense")

    assert error["code"] == "VALIDATION_ERROR"
    assert named in error["suggestion"]


async def test_a_market_type_that_the_exchange_does_not_trade_is_refused(call: Call) -> None:
    error = await error_of(call, "GET", "/market/tickers?exchange=hyperliquid&market_type=spot")

    assert error["code"] == "VALIDATION_ERROR"
    assert "perpetual" in error["message"]
    assert "binance" in error["suggestion"]


@pytest.mark.parametrize("limit", ["0", "501", "-1", "1.5", "many", "1e3", "\uff19"])
async def test_a_limit_out_of_range_is_refused(call: Call, limit: str) -> None:
    error = await error_of(call, "GET", "/market/tickers", params={"limit": limit})

    assert error["code"] == "VALIDATION_ERROR"
    assert "limit" in error["message"]


async def test_candles_are_closed_and_page_back_and_forth_without_gap_or_overlap(call: Call) -> None:
    query = "/market/ohlcv?symbol=BTC/USDT&timeframe=1h"
    newest = await data_of(call, "GET", f"{query}&limit=48")
    older = await data_of(call, "GET", f"{query}&limit=48&end={newest['previous_end']}")
    forward = await data_of(call, "GET", f"{query}&limit=48&start={older['candles'][0][0]}")
    onward = await data_of(call, "GET", f"{query}&limit=48&start={forward['next_start']}")

    assert newest["candles"][-1][0] == "2025-06-16T11:00:00Z"
    assert newest["next_start"] is None
    assert forward["candles"] == older["candles"]
    assert onward["candles"] == newest["candles"]
    assert all(low <= min(o, c) and max(o, c) <= high for _, o, high, low, c, _ in newest["candles"])


async def test_candles_from_long_before_the_first_bar_begin_with_it(call: Call) -> None:
    data = await data_of(call, "GET", "/market/ohlcv?symbol=BTC/USDT&timeframe=1m&start=2001-01-01&limit=5")

    assert data["candles"][0][0] == "2015-01-01T00:00:00Z"
    assert data["previous_end"] is None
    assert data["next_start"] == "2015-01-01T00:05:00Z"


@pytest.mark.parametrize(
    ("query", "code", "says"),
    [
        ("symbol=NOSUCH/USDT", "DATA_UNAVAILABLE", "NOSUCH/USDT"),
        ("symbol=BTC/USDT&exchange=nasdaq", "VALIDATION_ERROR", "nasdaq"),
        ("symbol=BTC/USDT&start=2025-01-02&end=2025-01-01", "VALIDATION_ERROR", "not before end"),
        ("symbol=BTC/USDT&start=2031-01-01", "DATA_UNAVAILABLE", "2031"),
        ("symbol=BTC/USDT&end=2001-01-01", "DATA_UNAVAILABLE", "2001"),
        ("symbol=BTC/USDT&timeframe=7m", "VALIDATION_ERROR", "7m"),
        ("timeframe=1h", "VALIDATION_ERROR", "symbol is missing"),
    ],
)
async def test_candles_that_cannot_be_had_say_why(call: Call, query: str, code: str, says: str) -> None:
    error = await error_of(call, "GET", f"/market/ohlcv?{query}")

    assert error["code"] == code
    assert says in error["message"]
    assert error["suggestion"] or "must be one of" in error["message"]


@pytest.mark.parametrize("symbol", ["BTC/USDT", "btc-usdt", "BTCUSDT", "BINANCE:BTC/USDT", "btc"])
async def test_every_dialect_means_the_same_symbol_and_the_answer_names_it(call: Call, symbol: str) -> None:
    data = await data_of(call, "POST", "/market/evaluate", json={"symbol": symbol, "expression": "close[-1]"})

    assert (data["symbol"], data["exchange"], data["source"]) == ("BTC/USDT", "binance", "simulated")
    assert data["value"] == data["price"] > 0
    assert data["as_of"] == "2025-06-16T12:00:00Z"


async def test_a_condition_evaluates_to_true_or_false(call: Call) -> None:
    data = await data_of(
        call, "POST", "/market/evaluate", json={"symbol": "BTC/USDT", "expression": "close > 0 and volume >= 0"}
    )

    assert data["value"] is True


@pytest.mark.parametrize(
    ("expression", "code", "says"),
    [
        ("rsii(close, 14)", "VALIDATION_ERROR", "rsi"),
        ("close.__class__", "VALIDATION_ERROR", ""),
        ("__import__('os')", "VALIDATION_ERROR", ""),
        ("(" * 1_999, "VALIDATION_ERROR", ""),
        ("x" * 2_001, "VALIDATION_ERROR", "2000"),
        ("sma(close, 99999)", "TA_OUT_OF_RANGE", "99999"),
        ("close &&", "VALIDATION_ERROR", ""),
        ('emit_signal(close > 1, entry("BINANCE:BTC/USDT", "LONG", Weight(0.5)))', "VALIDATION_ERROR", ""),
    ],
)
async def test_an_expression_that_cannot_run_is_refused_with_its_reason(
    call: Call, expression: str, code: str, says: str
) -> None:
    body = {"symbol": "BTC/USDT", "expression": expression, "timeframe": "1d"}

    error = await error_of(call, "POST", "/market/evaluate", json=body)

    assert error["code"] == code
    assert says in error["message"] + error["suggestion"]


async def test_a_scan_tells_matches_details_and_count(call: Call) -> None:
    body = {"universe": ["BTC/USDT", "ETH/USDT", "SOL/USDT"], "condition": "close > 1000"}

    data = await data_of(call, "POST", "/market/scan", json=body)

    assert data["scanned_count"] == 3
    assert [d["symbol"] for d in data["details"] if d["matched"]] == data["matched"]
    assert {d["symbol"] for d in data["details"]} == set(body["universe"])
    assert all((d["price"] > 1000) is d["matched"] for d in data["details"])
    assert (data["exchange"], data["timeframe"], data["source"]) == ("binance", "1h", "simulated")


async def test_a_large_scan_names_every_match_and_details_some(call: Call) -> None:
    data = await data_of(call, "POST", "/market/scan", json={"universe": ["top100"], "condition": "close > 0"})

    assert (len(data["matched"]), len(data["details"]), data["details_omitted"]) == (100, 40, 60)


async def test_one_bad_symbol_does_not_spoil_a_scan(call: Call) -> None:
    body = {"universe": ["BTC/USDT", "NOSUCH/USDT"], "condition": "close > 0"}

    data = await data_of(call, "POST", "/market/scan", json=body)

    assert data["matched"] == ["BTC/USDT"]
    assert [f["symbol"] for f in data["failed"]] == ["NOSUCH/USDT"]
    assert "DATA_UNAVAILABLE" in data["failed"][0]["error"]


async def test_a_scan_of_bad_symbols_only_is_an_error(call: Call) -> None:
    body = {"universe": ["NOSUCH/USDT", "NEITHER/USDT"], "condition": "close > 0"}

    error = await error_of(call, "POST", "/market/scan", json=body)

    assert error["code"] == "DATA_UNAVAILABLE"
    assert "NOSUCH/USDT" in error["message"]


async def test_repeated_symbols_are_scanned_once(call: Call) -> None:
    body = {"universe": ["BTC/USDT", "btcusdt", "BINANCE:BTC/USDT", "top30"], "condition": "close > 0"}

    data = await data_of(call, "POST", "/market/scan", json=body)

    assert data["scanned_count"] == 30
    assert data["matched"].count("BTC/USDT") == 1


@pytest.mark.parametrize(
    ("word", "most"), [("top30", 30), ("top50", 50), ("top100", 100), ("trending", 30), ("defi", 30)]
)
async def test_a_keyword_means_several_symbols(call: Call, word: str, most: int) -> None:
    data = await data_of(call, "POST", "/market/scan", json={"universe": [word.upper()], "condition": "close > 0"})

    assert 0 < data["scanned_count"] <= most


@pytest.mark.parametrize("universe", [[], [""], ["BTC/USDT"] * 0, [f"A{i}/USDT" for i in range(501)], [7], {"a": 1}])
async def test_a_universe_that_is_empty_too_large_or_no_list_is_refused(call: Call, universe: Any) -> None:
    error = await error_of(call, "POST", "/market/scan", json={"universe": universe, "condition": "close > 0"})

    assert error["code"] == "VALIDATION_ERROR"


async def test_a_number_is_no_condition_and_a_condition_no_score(call: Call) -> None:
    scan = await error_of(call, "POST", "/market/scan", json={"universe": ["BTC/USDT"], "condition": "rsi(close, 14)"})
    rank = await error_of(call, "POST", "/market/rank", json={"universe": ["BTC/USDT"], "expression": "close > 1"})

    assert scan["code"] == rank["code"] == "VALIDATION_ERROR"
    assert "rsi(close, 14) < 30" in scan["message"]
    assert "where(close > 1, 1, 0)" in rank["message"]


async def test_a_ranking_runs_from_best_to_worst_and_ties_keep_their_order(call: Call) -> None:
    body = {"universe": ["top30"], "expression": "roc(close, 7)", "limit": 10}
    down = await data_of(call, "POST", "/market/rank", json=body)
    up = await data_of(call, "POST", "/market/rank", json={**body, "order": "asc", "limit": 30})
    tied = await data_of(call, "POST", "/market/rank", json={**body, "expression": "close * 0"})
    largest = await data_of(call, "GET", "/market/tickers?limit=10")

    scores = [r["score"] for r in down["ranked"]]
    assert scores == sorted(scores, reverse=True)
    assert [r["rank"] for r in down["ranked"]] == list(range(1, 11))
    assert down["ranked_count"] == 30
    assert [r["symbol"] for r in up["ranked"]][::-1][:10] == [r["symbol"] for r in down["ranked"]]
    assert [r["symbol"] for r in tied["ranked"]] == [t["symbol"] for t in largest["tickers"]]


async def test_symbols_without_a_score_are_left_out_and_named(call: Call) -> None:
    body = {"universe": ["BTC/USDT", "ETH/USDT"], "expression": "log(1000 - close)"}

    data = await data_of(call, "POST", "/market/rank", json={**body, "universe": ["top30"], "limit": 30})

    failed = {f["symbol"] for f in data["failed"]}
    assert "BTC/USDT" in failed
    assert failed.isdisjoint(r["symbol"] for r in data["ranked"])
    assert data["ranked_count"] + len(failed) == 30


async def test_polymarket_is_researched_by_token_id(call: Call, engine: Engine) -> None:
    token = engine.feed.listings("polymarket")[0].instrument.symbol
    body = {"symbol": token, "exchange": "polymarket", "expression": "close[-1]"}

    data = await data_of(call, "POST", "/market/evaluate", json=body)

    assert data["symbol"] == token
    assert 0 <= data["value"] <= 1


async def test_a_row_of_an_older_bar_says_so(call: Call, engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "old.csv"
    file.write_text("time,open,high,low,close,volume\n2020-01-01T00:00:00Z,7000,7100,6900,7050,5\n", "utf-8")
    import_file(engine.store, file, Instrument("binance", "BTC", "USDT"), "1h")
    body = {"universe": ["BTC/USDT", "ETH/USDT"]}

    scan = await data_of(call, "POST", "/market/scan", json={**body, "condition": "close > 0"})
    rank = await data_of(call, "POST", "/market/rank", json={**body, "expression": "close"})

    for answer, rows in ((scan, scan["details"]), (rank, rank["ranked"])):
        said = {row["symbol"]: row["as_of"] for row in rows}
        assert answer["source"] == "mixed"
        assert answer["as_of"] > "2020-01-01T01:00:00Z"
        assert said == {"BTC/USDT": "2020-01-01T01:00:00Z", "ETH/USDT": None}


@pytest.mark.parametrize(("expression", "names"), [("obv()", "obv"), ("sma(ad(), 5) > cum(volume)", "ad, cum")])
async def test_a_level_that_depends_on_the_first_loaded_bar_says_so(call: Call, expression: str, names: str) -> None:
    data = await data_of(call, "POST", "/market/evaluate", json={"symbol": "BTC/USDT", "expression": expression})

    assert f"{names}: counted from the first of the {data['bars_used']} bars loaded" in data["note"]


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("close > highest(close, 20)", "can never hold: highest(close, 20) includes this bar"),
        ("mfi(14) > 100", "mfi(14) is between 0 and 100"),
        ("low >= lowest(low, 5)", "always holds"),
        ("stoch_k(14, 3) < 0.2", "compares a value in percent with 0.2. Write 20 if you meant 20 %."),
        ("cdl_doji() == 50", "a candle pattern is 100, -100 or 0"),
    ],
)
async def test_a_condition_that_cannot_mean_what_it_says_carries_a_warning(
    call: Call, condition: str, said: str
) -> None:
    one = {"symbol": "BTC/USDT"}
    seen = await data_of(call, "POST", "/market/evaluate", json={**one, "expression": condition})
    several = await data_of(call, "POST", "/market/evaluate", json={**one, "expressions": [condition, "close > 1"]})
    scanned = await data_of(call, "POST", "/market/scan", json={"universe": ["BTC/USDT"], "condition": condition})

    assert said in seen["note"]
    assert said in several["values"][0]["note"]
    assert "note" not in several["values"][1] or several["values"][1]["note"] is None
    assert said in scanned["note"]


@pytest.mark.parametrize("expression", ["rsi(close, 14)", "session_vwap()", "close > sma(close, 20)"])
async def test_a_settled_value_has_no_note(call: Call, expression: str) -> None:
    data = await data_of(call, "POST", "/market/evaluate", json={"symbol": "BTC/USDT", "expression": expression})

    assert data["note"] is None
