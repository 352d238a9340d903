"""The HeyTraders API on a laptop: market data, Signal DSL, backtests, paper broker, live strategies, arena, docs."""
