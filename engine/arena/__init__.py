"""The community: public profiles, who follows whom, and posts that may show a backtest."""
