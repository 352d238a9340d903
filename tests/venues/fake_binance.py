"""Binance, spot and USD-M: the part of its REST API that we use, with its rules for client ids."""

from __future__ import annotations

import hashlib
import io
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from .fake_venue import Answer, FakeOrder, FakeVenue, Fault, Request, truth

_SECONDS = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14_400, "1d": 86_400}
_SPOT_TYPES = [
    "LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT",
]  # fmt: skip
_FUTURES_TYPES = ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET"]
_STATUS = {"open": "NEW", "filled": "FILLED", "canceled": "CANCELED"}


class FakeBinance(FakeVenue):
    """`perpetual` adds the USD-M paths; `coins` are listed against USDT."""

    coins: tuple[str, ...] = ("BTC", "ETH", "SOL")

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        super().__init__(now)
        self.algos: dict[str, FakeOrder] = {}
        self.became: dict[str, FakeOrder] = {}
        self.unpaid: set[int] = set()
        """Funding times without a rate."""

    def places(self, request: Request) -> bool:
        """Whether a request places an order."""
        return request.method == "POST" and request.path.endswith(("/order", "/oco", "/algoOrder"))

    def rejection(self, fault: Fault) -> Answer:
        """Codes as documented."""
        return {
            "rejected": (400, {"code": -2010, "msg": "Account has insufficient balance for requested action."}),
            "stale clock": (400, {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}),
            "internal before": (500, {"code": -1001, "msg": "Internal error; unable to process your request."}),
            "unknown after": (503, {"code": -1007, "msg": "Timeout waiting for response from backend server."}),
            "internal after": (500, {"code": -1006, "msg": "An unexpected response was received."}),
        }[fault]

    def answer(self, request: Request) -> Answer:
        """Route by path."""
        path = request.path
        for prefix in ("/api/v3/", "/fapi/v1/", "/fapi/v2/", "/fapi/v3/", "/sapi/v1/"):
            if path.startswith(prefix):
                return self._api(path.removeprefix(prefix), request)
        if path.startswith("/data/"):
            return self._archive(path)
        return 404, {"code": -1, "msg": f"no path {path}"}

    def _api(self, name: str, request: Request) -> Answer:
        market: dict[str, Callable[[Request], Answer]] = {
            "exchangeInfo": self._info,
            "klines": self._klines,
            "ticker/24hr": self._tickers,
            "depth": self._depth,
            "fundingRate": self._funding,
            "premiumIndex": self._premium,
            "time": self._time,
        }
        if name in market:
            return market[name](request)
        if self.keys_refuse(request):
            return 401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}
        private: dict[str, Callable[[Request], Answer]] = {
            "account": self._account,
            "balance": self._balance,
            "positionRisk": self._positions,
            "leverageBracket": self._none,
            "account/apiRestrictions": self._restrictions,
            "order": self._order,
            "orderList/oco": self._pair,
            "openOrders": self._open_orders,
            "allOrders": self._all_orders,
            "leverage": self._leverage,
            "algoOrder": self._algo,
            "openAlgoOrders": self._open_algos,
        }
        return private[name](request) if name in private else (404, {"code": -1, "msg": f"no endpoint {name}"})

    accepted_key: str | None = None

    def keys_refuse(self, request: Request) -> bool:
        """Whether the key is wrong."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        return self.accepted_key is not None and headers.get("x-mbx-apikey") != self.accepted_key

    def _time(self, _: Request) -> Answer:
        return 200, {"serverTime": int(self.now() * 1000)}

    def _none(self, _: Request) -> Answer:
        return 200, []

    def _all_orders(self, request: Request) -> Answer:
        symbol = request.query.get("symbol")
        return 200, [self._told(o) for o in self.orders.values() if symbol in {None, o.symbol}]

    no_leverage: Answer | None = None
    """The answer to a change of the leverage, in place of a success."""

    def _leverage(self, request: Request) -> Answer:
        return self.no_leverage or (200, {"leverage": int(request.form["leverage"]), "symbol": request.form["symbol"]})

    def _info(self, request: Request) -> Answer:
        is_futures = request.path.startswith("/fapi")
        return 200, {"timezone": "UTC", "symbols": [_symbol(coin, is_futures=is_futures) for coin in self.coins]}

    def _klines(self, request: Request) -> Answer:
        query = request.query
        seconds = _SECONDS[query["interval"]]
        limit = min(int(query.get("limit", 500)), 1_000)
        until = int(query["endTime"]) // 1000 + 1 if "endTime" in query else int(self.now()) + 1
        since = int(query["startTime"]) // 1000 if "startTime" in query else until - limit * seconds
        rows = [
            [t * 1000, *row, (t + seconds) * 1000 - 1, "0", 1, "0", "0", "0"]
            for t, row in self.bars(query["symbol"], seconds, since, until, limit)
        ]
        return 200, rows

    def _tickers(self, request: Request) -> Answer:
        if "symbol" in request.query:
            return 200, self._ticker(request.query["symbol"].removesuffix("USDT"))
        return 200, [self._ticker(coin) for coin in self.coins]

    def _ticker(self, coin: str) -> dict[str, Any]:
        last = self.price(f"{coin}USDT")
        rank = len(self.coins) - self.coins.index(coin)
        return {
            "symbol": f"{coin}USDT",
            "priceChange": "1.00",
            "priceChangePercent": "1.250",
            "weightedAvgPrice": f"{last}",
            "lastPrice": f"{last}",
            "bidPrice": f"{last - 1}",
            "bidQty": "2",
            "askPrice": f"{last + 1}",
            "askQty": "2",
            "openPrice": f"{last}",
            "highPrice": f"{last}",
            "lowPrice": f"{last}",
            "volume": "1000",
            "quoteVolume": f"{rank * 1_000_000}",
            "openTime": int(self.now() * 1000) - 86_400_000,
            "closeTime": int(self.now() * 1000),
            "count": 10,
        }

    def price(self, symbol: str) -> Decimal:
        """The last price: the close of the minute's bar so far, unless the test sets one."""
        return self.last or Decimal(truth(symbol, 60, int(self.now()) // 60 * 60)[3])

    def _depth(self, request: Request) -> Answer:
        last = self.price(request.query["symbol"])
        return 200, {"lastUpdateId": 1, "bids": [[f"{last - 1}", "2"]], "asks": [[f"{last + 1}", "2"]]}

    def _funding(self, request: Request) -> Answer:
        since = int(request.query.get("startTime", 0)) // 1000
        until = min(int(request.query.get("endTime", 10**15)) // 1000, int(self.now()))
        first = max(-(-since // 28_800) * 28_800, self.listed_since)
        paid = [t for t in range(first, until + 1, 28_800) if t not in self.unpaid]
        times = paid[: int(request.query.get("limit", 100))]
        symbol = request.query["symbol"]
        return 200, [
            {"symbol": symbol, "fundingTime": t * 1000 + 3, "fundingRate": funding(t), "markPrice": "30000.0"}
            for t in times
        ]

    def _premium(self, request: Request) -> Answer:
        symbol = request.query.get("symbol", "BTCUSDT")
        return 200, {"symbol": symbol, "markPrice": f"{self.price(symbol)}", "lastFundingRate": "0.0001"}

    def _account(self, _: Request) -> Answer:
        held = self._held()
        balances = [{"asset": a, "free": f"{t - u}", "locked": f"{u}"} for a, (t, u) in held.items()]
        return 200, {
            "makerCommission": 10,
            "takerCommission": 10,
            "canTrade": True,
            "canWithdraw": self.may_withdraw,
            "canDeposit": True,
            "accountType": "SPOT",
            "balances": balances,
            "permissions": ["SPOT"],
            "assets": [
                {"asset": a, "walletBalance": f"{t}", "availableBalance": f"{t + gain - u}", "initialMargin": f"{u}"}
                | {"marginBalance": f"{t + gain}"}
                for a, (t, u) in held.items()
                for gain in [self.profit if a == "USDT" else 0]
            ],
            "positions": [],
            "uid": 7,
        }

    def _positions(self, _: Request) -> Answer:
        if not self.position:
            return 200, []
        row = {
            "symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": f"{self.position}", "entryPrice": "29000.0",
            "breakEvenPrice": "29000.0", "markPrice": f"{self.price('BTCUSDT')}", "liquidationPrice": "1000",
            "unRealizedProfit": f"{self.profit}", "notional": "60", "marginAsset": "USDT", "isolatedMargin": "0",
            "isolatedWallet": "0", "initialMargin": "30", "maintMargin": "1", "positionInitialMargin": "30",
            "openOrderInitialMargin": "0", "adl": 1, "bidNotional": "0", "askNotional": "0", "updateTime": 1,
        }  # fmt: skip
        return 200, [row]

    def _balance(self, _: Request) -> Answer:
        return 200, [
            {"asset": a, "balance": f"{t}", "availableBalance": f"{t - u}", "crossWalletBalance": f"{t}"}
            for a, (t, u) in self._held().items()
        ]

    def _held(self) -> dict[str, tuple[Decimal, Decimal]]:
        used = sum((o.amount * o.fill_price for o in self.orders.values() if o.status == "open"), Decimal(0))
        return {a: (t, used if a == "USDT" else Decimal(0)) for a, t in self.cash.items() if a != "KRW"}

    def _restrictions(self, _: Request) -> Answer:
        return 200, {
            "ipRestrict": True,
            "createTime": 1,
            "enableReading": True,
            "enableWithdrawals": self.may_withdraw,
            "enableInternalTransfer": False,
            "enableSpotAndMarginTrading": True,
            "enableFutures": True,
            "permitsUniversalTransfer": False,
        }

    def _order(self, request: Request) -> Answer:
        form = request.form if request.method != "GET" else request.query
        if request.method == "POST":
            return self._place(form)
        became = next((o for o in self.became.values() if o.id == form.get("orderId")), None)
        order = became or self.orders.get(form.get("orderId", ""))
        order = order or self.by_client_id(form.get("origClientOrderId", ""))
        if order is None:
            return 400, {"code": -2013, "msg": "Order does not exist."}
        if request.method == "DELETE":
            if order.status != "open":
                return 400, {"code": -2011, "msg": "Unknown order sent."}
            order.status = "canceled"
            self.end_pair(order)
        return 200, self._told(order)

    def _place(self, form: dict[str, str]) -> Answer:
        client_id = form["newClientOrderId"]
        if any(o.client_id == client_id and o.status == "open" for o in self.orders.values()):
            return 400, {"code": -2010, "msg": "Duplicate order sent."}
        terms = [form[name] for name in ("price", "stopPrice") if name in form]
        price = Decimal(terms[0]) if terms else None
        if "stopPrice" in form and self._is_reached(form["side"], form["type"], Decimal(form["stopPrice"])):
            return 400, {"code": -2010, "msg": "Stop price would trigger immediately."}
        order = self.place(
            client_id, form["symbol"], form["side"], form["type"].lower(), Decimal(form["quantity"]), price
        )
        return 200, self._told(order)

    def _pair(self, request: Request) -> Answer:
        """A target above and a stop below; when one is cancelled or filled, the other is cancelled."""
        form = request.form
        quantity = Decimal(form["quantity"])
        if self.refuse_exits:
            return 400, {"code": -2010, "msg": "This symbol does not support OCO."}
        placed = [
            self.place(
                form[f"{where}ClientOrderId"],
                form["symbol"],
                form["side"],
                "limit" if form[f"{where}Type"] == "LIMIT_MAKER" else "stop_loss",
                quantity,
                Decimal(form.get(f"{where}Price") or form[f"{where}StopPrice"]),
            )
            for where in ("above", "below")
        ]
        self.link(placed[0], placed[1])
        return 200, {"orderListId": 1, "contingencyType": "OCO", "orderReports": [self._told(one) for one in placed]}

    refuse_exits = False

    def _is_reached(self, side: str, kind: str, at: Decimal) -> bool:
        """Whether a stop or a target at that price would trigger at once."""
        last = self.price("BTCUSDT")
        falls = (side == "SELL") == kind.startswith("STOP")
        return last <= at if falls else last >= at

    def _algo(self, request: Request) -> Answer:
        """Conditional orders, which are apart from the others since December 2025."""
        form = request.form if request.method != "GET" else request.query
        if request.method == "POST":
            return self._place_algo(form)
        wanted = (form.get("algoId"), form.get("clientAlgoId"))
        order = next((o for o in reversed(self.algos.values()) if o.id == wanted[0] or o.client_id == wanted[1]), None)
        if order is None:
            return 400, {"code": -2013, "msg": "Order does not exist."}
        if request.method == "DELETE":
            if order.status != "open":
                return 400, {"code": -2011, "msg": "Unknown order sent."}
            order.status = "canceled"
            return 200, {"algoId": int(order.id), "clientAlgoId": order.client_id, "code": "200", "msg": "success"}
        return 200, self._told_algo(order)

    def _place_algo(self, form: dict[str, str]) -> Answer:
        if any(o.client_id == form["clientAlgoId"] and o.status == "open" for o in self.algos.values()):
            return 400, {"code": -4116, "msg": "ClientOrderId is duplicated."}
        if form["algoType"] != "CONDITIONAL" or form.get("reduceOnly") != "true":
            return 400, {"code": -1102, "msg": "Mandatory parameter 'algoType' was not sent."}
        at = Decimal(form["triggerPrice"])
        if self.refuse_exits or self._is_reached(form["side"], form["type"], at):
            return 400, {"code": -2021, "msg": "Order would immediately trigger."}
        with self.lock:
            self._next += 1
            order = FakeOrder(
                str(self._next), form["clientAlgoId"], form["symbol"], form["side"], form["type"].lower(),
                Decimal(form["quantity"]), at,
            )  # fmt: skip
            self.algos[order.id] = order
        return 200, self._told_algo(order)

    def _open_algos(self, request: Request) -> Answer:
        symbol = request.query.get("symbol")
        found = [o for o in self.algos.values() if o.status == "open" and symbol in {None, o.symbol}]
        return 200, [self._told_algo(order) for order in found]

    def _told_algo(self, order: FakeOrder) -> dict[str, Any]:
        became = self.became.get(order.id)
        return {
            "algoId": int(order.id), "clientAlgoId": order.client_id, "algoType": "CONDITIONAL",
            "orderType": order.kind.upper(), "symbol": order.symbol, "side": order.side, "positionSide": "BOTH",
            "timeInForce": "GTC", "quantity": f"{order.amount}", "triggerPrice": f"{order.price}", "price": "0",
            "algoStatus": order.ended_as or {"open": "NEW", "filled": "FINISHED", "canceled": "CANCELED"}[order.status],
            "actualOrderId": "" if became is None else became.id, "actualPrice": "0.00000", "reduceOnly": True,
            "workingType": "CONTRACT_PRICE", "closePosition": False, "createTime": int(order.at * 1_000),
            "updateTime": int(order.at * 1_000), "triggerTime": 0,
        }  # fmt: skip

    def fill(self, order: FakeOrder) -> None:
        """A conditional order that triggers becomes a market order with an id of its own."""
        if order.id in self.algos:
            with self.lock:
                self._next += 1
                made = FakeOrder(
                    str(self._next), f"x-{order.id}", order.symbol, order.side, "market", order.amount, order.price,
                    order.amount, "filled",
                )  # fmt: skip
            self.became[order.id] = made
        super().fill(order)
        if order.id in self.pairs:
            self.orders[self.pairs[order.id]].ended_as = "EXPIRED"

    def end(self, order: FakeOrder, state: str, filled: str = "0") -> None:
        """A stop of a pair that triggers ends the target; a conditional order becomes a market order that ends."""
        super().end(order, state, filled)
        if order.id in self.pairs:
            super().end(self.orders[self.pairs[order.id]], "EXPIRED")
        if order.id in self.algos and state != "REJECTED":
            with self.lock:
                self._next += 1
            made = replace(order, id=str(self._next), client_id=f"x-{order.id}", kind="market")
            order.ended_as, self.became[order.id] = "FINISHED", made

    def _open_orders(self, request: Request) -> Answer:
        symbol = request.query.get("symbol")
        return 200, [self._told(o) for o in self.orders.values() if o.status == "open" and symbol in {None, o.symbol}]

    def _told(self, order: FakeOrder) -> dict[str, Any]:
        at = int(order.at * 1000)
        cost = order.filled * order.fill_price
        return {
            "symbol": order.symbol,
            "orderId": int(order.id),
            "clientOrderId": order.client_id,
            "transactTime": at,
            "time": at,
            "updateTime": at,
            "price": f"{order.price or 0}",
            "avgPrice": f"{order.fill_price if order.filled else 0}",
            "origQty": f"{order.amount}",
            "executedQty": f"{order.filled}",
            "cummulativeQuoteQty": f"{cost}",
            "cumQuote": f"{cost}",
            "status": order.ended_as or _STATUS[order.status],
            "timeInForce": "GTC",
            "type": order.kind.upper(),
            "side": order.side.upper(),
        }

    # The public archive of candles.

    archive_until = 0
    """Files exist for days that ended before this time."""
    archive_broken = False

    def _archive(self, path: str) -> Answer:
        *_, symbol, interval, name = path.split("/")
        checksum = name.endswith(".CHECKSUM")
        zipped = archive_file(self, symbol, interval, name.removesuffix(".CHECKSUM"), "monthly" in path)
        if zipped is None:
            return 404, b"NoSuchKey"
        digest = hashlib.sha256(zipped).hexdigest()
        if checksum:
            return 200, f"{digest}  {name.removesuffix('.CHECKSUM')}\n".encode()
        return 200, zipped[:-1] + b"x" if self.archive_broken else zipped


def archive_file(venue: FakeBinance, symbol: str, interval: str, name: str, monthly: bool) -> bytes | None:
    """A file of the archive: milliseconds before 2025, microseconds since."""
    from datetime import UTC, datetime, timedelta

    day = name.removeprefix(f"{symbol}-{interval}-").removesuffix(".zip")
    start = datetime.strptime(day, "%Y-%m" if monthly else "%Y-%m-%d").replace(tzinfo=UTC)
    end = (start + timedelta(days=31)).replace(day=1) if monthly else start + timedelta(days=1)
    if end.timestamp() > venue.archive_until or end.timestamp() <= venue.listed_since:
        return None
    seconds = _SECONDS[interval]
    unit = 1_000_000 if start.year >= 2025 else 1_000
    span = int(end.timestamp() - start.timestamp()) // seconds
    lines = [
        ",".join((str(t * unit), *row, str((t + seconds) * unit - 1), "0", "1", "0", "0", "0"))
        for t, row in venue.bars(symbol, seconds, int(start.timestamp()), int(end.timestamp()), span)
    ]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        dated = zipfile.ZipInfo(name.replace(".zip", ".csv"), (2025, 2, 1, 0, 0, 0))
        archive.writestr(dated, "\n".join(lines) + "\n", zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def funding(at: int) -> str:
    """The funding rate at a time."""
    return f"{(at // 28_800 % 7 - 2) / 10_000:.8f}"


def _symbol(coin: str, *, is_futures: bool) -> dict[str, Any]:
    filters = [
        {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01000000"},
        {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001000"},
        {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True},
        {"filterType": "MIN_NOTIONAL", "notional": "5"},
    ]
    base = {
        "symbol": f"{coin}USDT",
        "status": "TRADING",
        "baseAsset": coin,
        "quoteAsset": "USDT",
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "quotePrecisionAsset": 8,
        "pricePrecision": 2,
        "quantityPrecision": 5,
        "orderTypes": _FUTURES_TYPES if is_futures else _SPOT_TYPES,
        "permissions": ["SPOT"],
        "isSpotTradingAllowed": True,
        "filters": filters,
    }
    if not is_futures:
        return base
    return {**base, "pair": f"{coin}USDT", "contractType": "PERPETUAL", "marginAsset": "USDT", "onboardDate": 1}
