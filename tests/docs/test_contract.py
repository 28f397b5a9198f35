"""The contract and the suite cite each other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from nitro_presets.asgi.preset import preset as asgi
from nitro_presets.aws_lambda.preset import preset as aws_lambda
from nitro_presets.container.preset import preset as container
from nitro_py.build.config.load import load_config
from nitro_py.build.config.settings import NitroConfig
from nitro_py.build.preset import Preset
from nitro_py.capabilities import CAPABILITIES
from tests.bundles import write_files
from tests.checkout import ROOT
from tests.docs.pages import find_table, read_page

CONTRACT = "docs/contract.md"
FEATURES = "docs/features.md"
SUITE = ("nitro_py/testing/conformance/suite", "tests/conformance")
PARAGRAPH = re.compile(r'<a id="(\w+)"></a>\*\*(\w+)\.\*\*')
CITED = re.compile(r"\b[A-Z]\d+\b")


def list_tests() -> dict[str, str]:
    """List the tests of the suite, and of what only the build can show: place → docstring."""
    found = {}
    for folder in SUITE:
        for file in sorted((ROOT / folder).glob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef) and node.name.startswith("test_"):
                    found[f"{file.name}:{node.name}"] = ast.get_docstring(node) or ""
    return found


def test_each_paragraph_has_an_anchor_of_its_own() -> None:
    found = PARAGRAPH.findall(read_page(CONTRACT))
    assert [label.lower() for _, label in found] == [anchor for anchor, _ in found]
    assert len({anchor for anchor, _ in found}) == len(found) > 40


def test_every_test_of_the_suite_cites_a_paragraph() -> None:
    # The rest of `tests/conformance` runs the suite, or tries the demo.
    apart = ("test_asgi.py", "test_demo.py", "test_processes.py")
    silent = [
        place
        for place, text in list_tests().items()
        if not CITED.search(text) and not place.startswith(apart) and "test_journal_of_a_new_key" not in place
    ]
    assert silent == []


def test_every_citation_leads_to_a_paragraph_and_every_paragraph_is_cited() -> None:
    labels = {label for _, label in PARAGRAPH.findall(read_page(CONTRACT))}
    cited = {label for text in list_tests().values() for label in CITED.findall(text)}
    reasons = {row[0]: row[1] for row in find_table("paragraph", CONTRACT)}
    assert cited - labels == set()
    assert labels - cited == set(reasons)
    for reason in reasons.values():
        files = re.findall(r"`(tests/[^`]+)`", reason)
        assert files
        assert [file for file in files if not (ROOT / file).is_file()] == []


def test_table_of_features_names_every_capability_as_presets_declare_it(tmp_path: Path) -> None:
    rows = {row[1].strip("`"): row[2:] for row in find_table("", FEATURES) if row[1]}
    assert set(rows) == set(CAPABILITIES)
    presets: list[Preset] = [asgi, container, aws_lambda]
    for capability, cells in rows.items():
        for preset, cell in zip(presets, cells, strict=True):
            able = capability in preset.capabilities(NitroConfig())
            setting = re.match(r"with `(aws\.\w+)( = \"(\w+)\")?`", cell)
            assert able == cell.startswith("yes"), (capability, preset.name, cell)
            if setting is None:
                assert able or cell.startswith("no"), (capability, preset.name, cell)
                continue
            value = {"aws.streaming": '"function-url"', "aws.ordered": "true"}.get(setting[1], f'"{setting[3]}"')
            root = write_files(tmp_path / capability, {"nitro.toml": f"{setting[1]} = {value}\n"})
            config = load_config(root, mode="production", overrides={}, environ={}).config
            assert capability in preset.capabilities(config)
