.PHONY: help check test lint types snapshot bench slow

help: ## Show the verbs
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

check: ## Everything that a change has to pass
	./.ci/run

test: ## The tests
	uv run pytest

lint: ## Style, formatting and layers
	uv run ruff check
	uv run ruff format --check
	uv run lint-imports

types: ## Types, strict
	uv run basedpyright

snapshot: ## Bring the committed tool surface and the README's tool table to what the code says
	uv run python -m tools.snapshot

bench: ## Figures, each beside a baseline measured in the same run
	for figure in start tokens calls feeds dsl orders policy gate live backtest_and_poll; do uv run python -m bench.$$figure || exit 1; done
	uv run --group bench python -m bench.backtest

slow: ## The long-running tests
	uv run pytest -m slow
