.PHONY: help check test lint types snapshot constraints bench long slow

help: ## Show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

check: ## Run everything that CI runs
	./.ci/run

test: ## The tests
	uv run --group dev pytest

lint: ## Style, formatting and layers
	uv run --group dev ruff check
	uv run --group dev ruff format --check
	uv run --group dev lint-imports

types: ## Types, strict
	uv run --group dev basedpyright

snapshot: ## Regenerate tools/surface and the README's tool table
	uv run --group dev python -m tools.snapshot

constraints: ## Update the pinned versions that CI installs
	./.ci/constraints --upgrade

bench: ## Figures, each beside a baseline measured in the same run
	for figure in start tokens calls feeds dsl orders policy gate live backtest_and_poll; do uv run --group dev python -m bench.$$figure || exit 1; done
	uv run --group dev --group bench python -m bench.backtest

long: ## Tests that take seconds each, which CI runs too
	uv run --group dev pytest -m long

slow: ## The long-running tests
	uv run --group dev pytest -m slow
