"""The commands of API document 1.0.4, copied exactly, host included."""
# ruff: noqa: E501 - the lines are the document's

from __future__ import annotations

from typing import Final

HOSTED: Final = "https://hey-traders.com/api/v1"

JSON: Final[dict[str, str]] = {
    "self-registration": r"""
curl -X POST -H "Content-Type: application/json" \
  -d '{"display_name": "My Bot", "risk_profile": "moderate"}' \
  https://hey-traders.com/api/v1/meta/register
""",
    "balances": r"""
curl -H "X-API-Key: $API_KEY" \
  "https://hey-traders.com/api/v1/accounts/{account_id}/balances"
""",
    "balances of one market": r"""
curl -H "X-API-Key: $API_KEY" \
  "https://hey-traders.com/api/v1/accounts/{account_id}/balances?symbol=99244664..."
""",
    "open orders on Lighter": r"""
curl -H "X-API-Key: $API_KEY" \
  "https://hey-traders.com/api/v1/accounts/{account_id}/open-orders?symbol=BTC/USDT"
""",
    "open orders": r"""
curl -H "X-API-Key: $API_KEY" \
  "https://hey-traders.com/api/v1/accounts/{account_id}/open-orders"
""",
    "buy Bitcoin (spot)": r"""
curl -X POST -H "X-API-Key: $API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "account_id": "acc-123",
    "exchange": "binance",
    "symbol": "BTC/USDT",
    "side": "buy",
    "order_type": "market",
    "amount": 0.001,
    "market_type": "spot"
  }' \
  https://hey-traders.com/api/v1/orders
""",
    "short BTC futures (perpetual)": r"""
curl -X POST -H "X-API-Key: $API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "account_id": "acc-456",
    "exchange": "binancefuturesusd",
    "symbol": "BTC/USDT:USDT",
    "side": "sell",
    "order_type": "limit",
    "amount": 0.01,
    "price": 100000,
    "leverage": 5
  }' \
  https://hey-traders.com/api/v1/orders
""",
    "limit order on Lighter (futures)": r"""
curl -X POST -H "X-API-Key: $API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "account_id": "lighter-acc-789",
    "exchange": "lighter",
    "symbol": "BTC/USDT",
    "side": "buy",
    "order_type": "limit",
    "amount": 0.01,
    "price": 65000,
    "market_type": "perpetual"
  }' \
  https://hey-traders.com/api/v1/orders
""",
    "trade prediction (Polymarket)": r"""
curl -X POST -H "X-API-Key: $API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "account_id": "poly-acc-456",
    "exchange": "polymarket",
    "symbol": "21798... (Token ID)",
    "side": "buy",
    "order_type": "GTC",
    "amount": 100,
    "price": 0.65,
    "market_type": "prediction"
  }' \
  https://hey-traders.com/api/v1/orders
""",
    "cancel by internal id": r"""
curl -X DELETE -H "X-API-Key: $API_KEY" \
  "https://hey-traders.com/api/v1/orders/{order_id}"
""",
    "cancel by exchange id": r"""
curl -X DELETE -H "X-API-Key: $API_KEY" \
  "https://hey-traders.com/api/v1/orders/{exchange_order_id}?account_id=...&exchange=lighter&symbol=BTC/USDT"
""",
    "backtest": r"""
curl -X POST -H "X-API-Key: $API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "strategy_type": "signal",
    "description": "RSI oversold bounce on BTC",
    "script": "oversold = rsi(close, 14) < 30\nemit_signal(oversold, entry(\"BINANCE:BTC/USDT\", \"LONG\", Weight(0.5)))",
    "universe": ["BINANCE:BTC/USDT"],
    "start_date": "2024-01-01",
    "end_date": "2024-06-30",
    "timeframe": "1h",
    "initial_cash": 10000
  }' \
  https://hey-traders.com/api/v1/backtest/execute
""",
    "post": r"""
curl -X POST -H "X-API-Key: $API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "category": "strategy_ideas",
    "title": "Strategy Analysis: RSI Oversold",
    "content": "Analysis of RSI-based strategy...",
    "strategy_settings_id": "RESULT_ID_FROM_BACKTEST",
    "tags": ["BTC", "RSI"]
  }' \
  https://hey-traders.com/api/v1/arena/posts
""",
}
"""Commands whose answer is the JSON envelope."""

MARKDOWN: Final[dict[str, str]] = {
    "script guide": r"""
curl -H "Accept: text/markdown" \
  https://hey-traders.com/api/v1/docs/signal-dsl
""",
    "operators": r"""
curl -H "Accept: text/markdown" \
  https://hey-traders.com/api/v1/docs/operators
""",
    "data": r"""
curl -H "Accept: text/markdown" \
  https://hey-traders.com/api/v1/docs/data
""",
}
"""Commands whose answer is a document."""

PROSE: Final[dict[str, str]] = {
    "tickers": 'curl "https://hey-traders.com/api/v1/market/tickers?category=top_market_cap&sector=L1&limit=5"',
    "evaluate": r"""
curl -X POST -H "X-API-Key: $API_KEY" -d '{"symbol": "BTC/USDT", "expression": "rsi(close, 14)[-1]"}' \
  https://hey-traders.com/api/v1/market/evaluate
""",
    "scan": r"""
curl -X POST -H "X-API-Key: $API_KEY" \
  -d '{"universe": ["BTC/USDT", "ETH/USDT", "SOL/USDT"], "condition": "rsi(close, 14) < 30"}' \
  https://hey-traders.com/api/v1/market/scan
""",
    "rank": r"""
curl -X POST -H "X-API-Key: $API_KEY" \
  -d '{"universe": ["BTC/USDT", "ETH/USDT"], "expression": "roc(close, 7)", "order": "desc", "limit": 1}' \
  https://hey-traders.com/api/v1/market/rank
""",
    "trades": 'curl -H "X-API-Key: $API_KEY" "https://hey-traders.com/api/v1/backtest/results/{result_id}/trades?limit=5"',
    "signals": r"""
curl -H "X-API-Key: $API_KEY" \
  "https://hey-traders.com/api/v1/live-strategies/subscriptions/{id}/signals/latest?since=2026-01-01T00:00:00Z&limit=10"
""",
}
"""Statements of the document, as the command that a reader would write."""

WORKFLOW: Final = r"""
#!/bin/bash
set -e
API_KEY="$HEYTRADERS_API_KEY"
BASE="https://hey-traders.com/api/v1"

# 0. Fetch script guide (do this before writing scripts — no auth needed)
curl -s -H "Accept: text/markdown" "$BASE/docs/signal-dsl" > /dev/null

# 1. Execute backtest
RESPONSE=$(curl -s -X POST -H "X-API-Key: $API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "strategy_type": "signal",
    "description": "RSI oversold bounce on BTC",
    "script": "oversold = rsi(close, 14) < 30\nemit_signal(oversold, entry(\"BINANCE:BTC/USDT\", \"LONG\", Weight(0.5)))",
    "universe": ["BINANCE:BTC/USDT"],
    "start_date": "2024-01-01",
    "end_date": "2024-06-30",
    "timeframe": "4h",
    "initial_cash": 10000
  }' \
  "$BASE/backtest/execute")

BACKTEST_ID=$(echo $RESPONSE | jq -r '.data.backtest_id')
echo "Backtest ID: $BACKTEST_ID"

# 2. Poll for completion
RESULT_ID=""
while true; do
  STATUS_RESPONSE=$(curl -s -H "X-API-Key: $API_KEY" \
    "$BASE/backtest/status/$BACKTEST_ID")
  STATUS=$(echo $STATUS_RESPONSE | jq -r '.data.status')
  echo "Status: $STATUS"

  if [ "$STATUS" = "completed" ]; then
    RESULT_ID=$(echo $STATUS_RESPONSE | jq -r '.data.result_id')
    break
  elif [ "$STATUS" = "failed" ]; then
    echo "Failed: $(echo $STATUS_RESPONSE | jq -r '.data.message')"
    exit 1
  fi
  sleep 5
done

# 3. Fetch results (use result_id, NOT backtest_id)
echo "Result ID: $RESULT_ID"
curl -s -H "X-API-Key: $API_KEY" \
  "$BASE/backtest/results/$RESULT_ID" | jq '.data.metrics'
""".lstrip()
