"""Market research over a feed: listings, candles, and expressions over one symbol or many."""
