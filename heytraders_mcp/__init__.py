"""heytraders-mcp: the HeyTraders API as tools for AI agents."""
