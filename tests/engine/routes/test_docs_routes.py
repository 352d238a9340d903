"""The documents: public, as markdown on request and otherwise as JSON."""

from __future__ import annotations

import pytest

from api.catalogue import ENDPOINTS
from api.errors import CODES
from api.exchanges import EXCHANGES
from engine.routes.docs import prefers_markdown
from tests.engine.conftest import Call

SLUGS = ("signal-dsl", "operators", "data", "api-reference")


async def test_the_list_names_the_four_documents(call: Call) -> None:
    documents = (await call("GET", "/docs", key=None)).json()["data"]["documents"]

    assert tuple(d["slug"] for d in documents) == SLUGS
    assert all(d["title"] and d["description"] and d["path"] == f"/docs/{d['slug']}" for d in documents)


@pytest.mark.parametrize("slug", SLUGS)
async def test_a_document_is_markdown_or_json_by_accept(call: Call, slug: str) -> None:
    raw = await call("GET", f"/docs/{slug}", key=None, headers={"Accept": "text/markdown"})
    wrapped = (await call("GET", f"/docs/{slug}", key=None)).json()["data"]
    listed = (await call("GET", "/docs", key=None)).json()["data"]["documents"]

    assert raw.headers["Content-Type"] == "text/markdown; charset=utf-8"
    assert raw.text.startswith("# ")
    assert set(wrapped) == {"slug", "title", "content"}
    assert (wrapped["slug"], wrapped["content"]) == (slug, raw.text)
    assert next(d["size"] for d in listed if d["slug"] == slug) == len(raw.content)


async def test_a_reader_who_has_the_text_gets_it_no_second_time(call: Call) -> None:
    first = await call("GET", "/docs/data", key=None, headers={"Accept": "text/markdown"})
    again = {"Accept": "text/markdown", "If-None-Match": first.headers["ETag"]}
    second = await call("GET", "/docs/data", key=None, headers=again)

    assert (second.status_code, second.content) == (304, b"")


@pytest.mark.parametrize(
    ("accept", "markdown"),
    [
        ("text/markdown", True),
        ("text/markdown, application/json;q=0.9", True),
        ("text/markdown, */*", True),
        ("TEXT/MARKDOWN; charset=utf-8", True),
        ("application/json, text/markdown;q=0.5", False),
        ("text/markdown;q=0", False),
        ("text/markdown;q=many", False),
        ("application/json", False),
        ("*/*", False),
        ("", False),
        ("text/html,,;;q=", False),
    ],
)
def test_accept_is_weighed(accept: str, markdown: bool) -> None:
    assert prefers_markdown(accept) is markdown


async def test_the_reference_covers_every_endpoint_parameter_code_and_exchange(call: Call) -> None:
    text = (await call("GET", "/docs/api-reference", key=None, headers={"Accept": "text/markdown"})).text

    for endpoint in ENDPOINTS:
        heading = f"### {endpoint.method} {endpoint.path}\n"
        assert heading in text
        body = text.partition(heading)[2].partition("\n### ")[0]
        assert all(f"| `{name}` |" in body for name in endpoint.request.model_fields)
        assert (f"the scope `{endpoint.scope}`" if endpoint.scope else "Needs no key") in body
    assert all(f"| `{code}` |" in text for code in CODES)
    assert all(f"| `{exchange}` |" in text for exchange in EXCHANGES)


async def test_the_reference_states_defaults_and_ranges(call: Call) -> None:
    text = (await call("GET", "/docs/api-reference", key=None, headers={"Accept": "text/markdown"})).text
    tickers = text.partition("### GET /market/tickers\n")[2].partition("\n### ")[0]

    assert "| `exchange` | query |" in tickers
    assert '| no | `"binance"` |' in tickers
    assert "integer (1-500)" in tickers
