"""Documents as resources."""

from __future__ import annotations

import pytest
from mcp.shared.exceptions import MCPError
from mcp.types import ResourceTemplateReference, TextResourceContents

from resources.documents import DOCUMENTS, TEMPLATE
from tests.conftest import Connect


async def test_every_document_is_listed_with_title_and_description(connect: Connect) -> None:
    async with connect() as client:
        resources = (await client.list_resources()).resources
    listed = [resource for resource in resources if str(resource.uri).startswith("heytraders://docs/")]

    assert [str(resource.uri) for resource in listed] == [f"heytraders://docs/{slug}" for slug in DOCUMENTS]
    assert all(resource.title and resource.description and resource.mime_type == "text/markdown" for resource in listed)


@pytest.mark.parametrize("slug", DOCUMENTS)
async def test_a_document_reads_as_markdown_and_as_the_tool_reads_it(slug: str, connect: Connect) -> None:
    async with connect() as client:
        [content] = (await client.read_resource(f"heytraders://docs/{slug}")).contents
        piece = await client.call_tool("docs_read", {"slug": slug, "limit": 500})

    assert isinstance(content, TextResourceContents)
    assert content.mime_type == "text/markdown"
    assert content.text.startswith("# ")
    assert piece.structured_content is not None
    assert content.text.startswith(piece.structured_content["content"])
    assert piece.structured_content["total"] == len(content.text)


@pytest.mark.parametrize("slug", ["signal-ds", "../keys", "%2e%2e%2fkeys", "signal-dsl/../../x", "a\x00b"])
async def test_anything_else_does_not_exist(slug: str, connect: Connect) -> None:
    async with connect() as client:
        with pytest.raises(MCPError) as refused:
            await client.read_resource(f"heytraders://docs/{slug}")

    assert refused.value.error.code == -32602
    assert "Traceback" not in refused.value.error.message


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("", list(DOCUMENTS)), ("SIG", ["signal-dsl"]), ("x", [])],
    ids=["nothing", "capitals", "none"],
)
async def test_slugs_are_completed(typed: str, offered: list[str], connect: Connect) -> None:
    async with connect() as client:
        completed = await client.complete(
            ResourceTemplateReference(uri=TEMPLATE), argument={"name": "slug", "value": typed}
        )

    assert completed.completion.values == offered
