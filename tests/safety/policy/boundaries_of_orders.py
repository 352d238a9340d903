"""The order itself and the number of orders: R01 to R15, just below, at and just above each limit."""

from __future__ import annotations

from typing import Final

from safety.terms.facts import Quote
from tests.safety.policy.boundaries import ANY_TYPE, MARKET, D, Table
from tests.safety.policy.scenarios import DEPLOYMENT, PERPETUAL, POST, PREDICTION, earlier

TABLE: Final = Table()
row = TABLE.row

row("a small order in a quiet hour")

row("R01: trading is off", "R01", limits={"trading": False})
row("R01: trading is off for strategies too", "R01 R30?", DEPLOYMENT, limits={"trading": False})
row("R01: posts are no trading", "R32?", POST, limits={"trading": False})

row("R02: no account is allowed", "R02", limits={"accounts": frozenset()})
row("R02: another account is allowed", "R02", limits={"accounts": frozenset({"acc-2"})})
row("R02: any account is allowed", limits={"accounts": None})
row("R02: a strategy without an account", "R02 R06 R30?", DEPLOYMENT, change={"account_id": None})
row("R02: a strategy of another account", "R02 R30?", DEPLOYMENT, change={"account_id": "acc-2"})

row("R03: spot only, and a perpetual", "R03", PERPETUAL, limits={"market_types": frozenset({"spot"})})
row("R03: another exchange", "R03", limits={"exchanges": frozenset({"upbit"})})
row("R03: this exchange", limits={"exchanges": frozenset({"binance"})})

row("R04: no symbol is allowed", "R04", limits={"symbols": frozenset()})
row("R04: this symbol is allowed", limits={"symbols": frozenset({"BTC/USDT"})})
row("R04: this symbol is forbidden", "R04", limits={"forbidden_symbols": frozenset({"BTC/USDT"})})
row(
    "R04: forbidden wins over allowed",
    "R04",
    limits={"symbols": frozenset({"BTC/USDT"}), "forbidden_symbols": frozenset({"BTC/USDT"})},
)
row("R04: another symbol is forbidden", limits={"forbidden_symbols": frozenset({"ETH/USDT"})})

row("R05: a market order", "R05", MARKET)
row(
    "R05: a market order where any type is allowed",
    "",
    MARKET,
    limits=ANY_TYPE,
    quote=Quote(D(60_000), 1.0),
    free={"USDT": D(100)},
)
row("R05: a market order's limit price is rounded towards the market", "R05", MARKET, quote=Quote(D("60123.456"), 1.0))
row("R05: also of one that sells", "R05", MARKET, change={"side": "sell"}, quote=Quote(D("60123.456"), 1.0))
row("R05: FOK", "", change={"order_type": "FOK"})
row("R05: no type at all", "R05", limits={"order_types": frozenset()})

row("R06: a lower-case symbol", "R06", change={"symbol": "btc/usdt"}, limits={"max_amount": None})
row("R06: another exchange's market type", "R06", change={"market_type": "perpetual", "leverage": 1})
row("R06: a negative amount", "R06", change={"amount": D("-0.0005")})
row("R06: amount zero", "R06", change={"amount": D(0)})
row("R06: a market order with a price", "R05 R06", change={"order_type": "market"})
row("R06: a limit order without a price", "R06", change={"price": None})
row("R06: leverage on spot", "R06", change={"leverage": 1})
row("R06: amount zero when nothing is left of the day", "R06 R12", change={"amount": D(0)}, notional_24h=D(300))
row(
    "R06: a symbol that is not valid",
    "R04 R06 R10 R25",
    change={"symbol": "???"},
    limits={"symbols": frozenset({"BTC/USDT"}), "max_amount": None},
)
row("R06: 19 decimals", "R06", change={"amount": D("0.0000000000000000001")})
row("R06: a probability of one", "R06 R10", PREDICTION, change={"price": D(1)}, quote=Quote(D("0.6"), 1.0))
row("R06: a strategy id that is not valid", "R06 R30?", DEPLOYMENT, change={"strategy_id": "../meta"})
row("R06: a resumed strategy without its subscription", "R06 R30?", DEPLOYMENT, change={"action": "resume"})
row("R06: a resumed strategy", "R30?", DEPLOYMENT, change={"action": "resume", "subscription_id": "sub-1"})
row("R06: a new strategy with a subscription", "R06 R30?", DEPLOYMENT, change={"subscription_id": "sub-1"})

row("R07: at the amount", limits={"max_amount": {"BTC/USDT": D("0.0005")}})
row("R07: above the amount", "R07", limits={"max_amount": {"BTC/USDT": D("0.000499999999999999")}})
row("R07: below the amount", limits={"max_amount": {"BTC/USDT": D("0.000500000000000001")}})
row("R07: no amount for the symbol", "R07", limits={"max_amount": {"ETH/USDT": D(9)}})
row("R07: an amount of nothing", "R07", limits={"max_amount": {"BTC/USDT": D(0)}})
row("R07: an amount of very little", "R07", limits={"max_amount": {"BTC/USDT": D("1.23456e-16")}})
row("R07: no table", limits={"max_amount": None})

row("R08: at the value", limits={"max_notional": D(30)})
row("R08: above the value", "R08", limits={"max_notional": D("29.99999999")})
row("R08: below the value", limits={"max_notional": D("30.00000001")})
row(
    "R08: the market's price counts where it is worse",
    "R08",
    change={"price": D(59_500)},
    limits={"max_notional": D("29.99")},
)
row(
    "R08: the limit price counts where it is worse",
    "R08",
    change={"price": D(60_500)},
    limits={"max_notional": D("30.01")},
)
row("R08: the quote currency's rate counts", "R08", limits={"max_notional": D("30.01")}, usd_rate=D("1.001"))
row(
    "R08: no more than 1,000 whatever is signed",
    "R08 R28? R29",
    change={"amount": D("0.0167")},
    limits={
        "max_notional": None,
        "max_amount": None,
        "position_usd": None,
        "position_share": None,
        "exposure_share": None,
        "automatic_up_to": D(0),
        "ask_a_human": False,
        "daily_notional": None,
    },
    assurance="separate",
    free={"USDT": D(9_999)},
)
row("R08: leverage counts", "R08 R11", PERPETUAL, change={"leverage": 2}, limits={"max_notional": D("59.99")})
row(
    "R08: rounding is up",
    "R08",
    change={"amount": D("0.000000000000000001"), "price": D("59999.5")},
    limits={"max_notional": D(0)},
)

row("R09: no price", "R08 R09 R10 R12 R17 R25 R28 R29", quote=None)
row("R09: no rate", "R08 R09 R12 R17 R25 R28 R29", usd_rate=None)
row("R09: a rate of zero", "R08 R09 R12 R17 R25 R28 R29", usd_rate=D(0))
row("R09: a price of zero", "R08 R09 R10 R12 R17 R25 R28 R29", quote=Quote(D(0), 1.0))
row(
    "R09: a market order's amount may be meant as quote currency",
    "R08",
    MARKET,
    change={"symbol": "PEPE/USDT", "amount": D(60)},
    limits={**ANY_TYPE, "max_amount": None},
    quote=Quote(D("0.00001"), 1.0),
)
row(
    "R09: a limit order's amount is in base units",
    "",
    change={"symbol": "PEPE/USDT", "amount": D(60), "price": D("0.00001")},
    limits={"max_amount": None},
    quote=Quote(D("0.00001"), 1.0),
)

row("R10: at the upper end for a large asset", change={"price": D(60_600)})
row("R10: above it", "R10", change={"price": D("60600.01")})
row("R10: below it", change={"price": D("60599.99")})
row("R10: at the lower end", change={"price": D(59_400)})
row("R10: below the lower end", "R10", change={"price": D("59399.99")})
row(
    "R10: a smaller asset has the wider collar",
    change={"symbol": "PEPE/USDT", "price": D(61_200)},
    limits={"max_amount": None},
)
row("R10: and no wider", "R10", change={"symbol": "PEPE/USDT", "price": D("61200.01")}, limits={"max_amount": None})
row("R10: the tighter collar holds for large assets", "R10", change={"price": D(60_301)}, limits={"collar": D("0.005")})
ODD_MARKET: Final = Quote(D("60123.456"), 1.0)
row("R10: the highest price is rounded down", "R10", change={"price": D(63_000)}, quote=ODD_MARKET)
row("R10: the lowest price is rounded up", "R10", change={"price": D(58_000)}, quote=ODD_MARKET)
row("R10: a market price of 75 s", quote=Quote(D(60_000), 75.0))
row("R10: an older one", "R10", quote=Quote(D(60_000), 75.001))
row("R10: one from the future", "R10", quote=Quote(D(60_000), -75.001))
row("R10: an old one for a market order", "R10", MARKET, limits=ANY_TYPE, quote=Quote(D(60_000), 76.0))
row("R10: after 10 s the collar is whole", change={"price": D(60_600)}, quote=Quote(D(60_000), 10.0))
row("R10: after 45 s it is three quarters", change={"price": D(60_450)}, quote=Quote(D(60_000), 45.0))
row("R10: and no wider than that", "R10", change={"price": D("60450.01")}, quote=Quote(D(60_000), 45.0))
row("R10: a probability at the collar", "", PREDICTION, change={"price": D("0.65")}, quote=Quote(D("0.6"), 1.0))
row("R10: above it, as a difference", "R10", PREDICTION, change={"price": D("0.651")}, quote=Quote(D("0.6"), 1.0))
row("R10: below it, as a difference", "R10", PREDICTION, change={"price": D("0.549")}, quote=Quote(D("0.6"), 1.0))

row("R11: at the leverage", "", PERPETUAL, change={"leverage": 1})
row("R11: above it", "R11", PERPETUAL, change={"leverage": 2}, limits={"max_notional": D(60)})
row("R11: not stated", "R11", PERPETUAL, change={"leverage": None})
row("R11: none is allowed", "R11", PERPETUAL, limits={"max_leverage": 0})
row(
    "R11: three at most whatever is signed",
    "R11",
    PERPETUAL,
    change={"leverage": 4, "amount": D("0.0001")},
    limits={"max_leverage": None},
)
row("R11: three", "", PERPETUAL, change={"leverage": 3, "amount": D("0.0001")}, limits={"max_leverage": None})

row("R12: at the day's sum", notional_24h=D(170))
row("R12: above it", "R12", notional_24h=D("170.00000001"))
row("R12: below it", notional_24h=D("169.99999999"))
row("R12: an order as large as the day", "R12", limits={"daily_notional": D(30)}, notional_24h=D(1))
row("R12: since midnight", "R12", notional_day=D("170.00000001"))
row(
    "R12: 5,000 at most whatever is signed",
    "R12 R29",
    limits={"daily_notional": None},
    notional_24h=D("4970.01"),
    assurance="separate",
)

row("R13: the last order of the day", count_24h=19)
row("R13: one more", "R13", count_24h=20)
row("R13: no order at all", "R13", limits={"daily_count": 0})
row("R13: one more since midnight", "R13", count_day=20)

row("R14: at the pause", order_ages=(5.0,))
row("R14: within the pause", "R14", order_ages=(4.999,))
row("R14: the youngest counts", "R14", order_ages=(30.0, 4.0))
row("R14: four in the minute", order_ages=(10.0, 20.0, 30.0, 40.0))
row("R14: five in the minute", "R14", order_ages=(10.0, 20.0, 30.0, 40.0, 59.999))
row("R14: no order in any minute", "R14", limits={"per_minute": 0})
row("R14: five, of which one is a minute old", order_ages=(10.0, 20.0, 30.0, 40.0, 60.0))

row("R15: the same a moment ago", "R15?", similar=(earlier(),))
row("R15: the same two minutes ago", similar=(earlier(age=120),))
row("R15: the same a little less ago", "R15?", similar=(earlier(age=119.999),))
row("R15: one percent more", "R15?", change={"amount": D("0.000505")}, similar=(earlier(),))
row("R15: a little more than that", change={"amount": D("0.00050501")}, similar=(earlier(),))
row("R15: one percent less", "R15?", change={"amount": D("0.000495")}, similar=(earlier(),))
row("R15: a little less than that", change={"amount": D("0.00049499")}, similar=(earlier(),))
row("R15: a price one percent up", "R15?", change={"price": D(60_600)}, similar=(earlier(),))
row("R15: a price further up", change={"price": D("60500")}, similar=(earlier(price="59900"),))
row("R15: a price one percent down", "R15?", change={"price": D("59400")}, similar=(earlier(),))
row("R15: an earlier market order is like any price", "R15?", similar=(earlier(price=None),))
row("R15: the second earlier one", "R15?", similar=(earlier(amount="9"), earlier()))
row("R15: an unknown one", "R15?", similar=(earlier(state="UNKNOWN"),))
