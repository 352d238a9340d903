"""The operators and indicators of the language, one table a category. Metadata only: `indicators` computes them."""
