"""Market research over a feed: what is listed, its candles, and expressions over one symbol or many."""
