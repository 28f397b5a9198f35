"""The table of `docs/settings.md`: `python -m tests.docs.settings` writes it anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nitro_py.build.config.load import find_models
from nitro_py.encoding import to_json
from tests.checkout import ROOT

PAGE = "docs/settings.md"
HEAD = "| setting | default | sets |\n| --- | --- | --- |\n"


def list_settings() -> list[list[str]]:
    """List the rows of the table: setting, default and description."""
    schema = find_models(ROOT, {}).settings.model_json_schema()
    return [
        [f"`{name}`", default and f"`{default}`", meaning]
        for name, default, meaning in _walk(schema, schema["properties"], "")
    ]


def write_page() -> None:
    """Write the table into the page, in the place of what stands there."""
    page = ROOT / PAGE
    before, _, _ = page.read_text(encoding="utf-8").partition("| setting |")
    rows = "".join(f"| {' | '.join(row)} |\n" for row in list_settings())
    page.write_text(before + HEAD + rows, encoding="utf-8")


def _walk(schema: dict[str, Any], properties: dict[str, Any], prefix: str) -> Iterator[tuple[str, str, str]]:
    for key, value in properties.items():
        # A table may have a short form, too.
        table = value if "$ref" in value else value.get("anyOf", [{}])[0]
        if "$ref" in table:
            section = schema["$defs"][table["$ref"].rpartition("/")[2]]
            # The same switches by another name.
            if key != "features":
                yield from _walk(schema, section["properties"], f"{prefix}{key}.")
        else:
            default = "" if value["default"] is None else to_json(value["default"])
            yield f"{prefix}{key}", default, value["description"]


if __name__ == "__main__":
    write_page()
