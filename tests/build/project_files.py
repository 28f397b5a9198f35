"""Writing the small projects that these tests build."""

from __future__ import annotations

import zipfile
from pathlib import Path


def write_files(root: Path, *empty: str) -> None:
    """Write empty files, and the folders above them."""
    write_texts(root, dict.fromkeys(empty, ""))


def write_texts(root: Path, texts: dict[str, str]) -> None:
    """Write files with their texts, and the folders above them."""
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


def install(
    site: Path,
    name: str,
    version: str,
    *,
    modules: tuple[str, ...] = (),
    requires: tuple[str, ...] = (),
    direct_url: str | None = None,
) -> None:
    """Write into a folder of `sys.path` what an installer leaves there."""
    info = f"{name}-{version}.dist-info"
    lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}"]
    texts = {f"{info}/METADATA": "\n".join(lines + [f"Requires-Dist: {text}" for text in requires]) + "\n"}
    if direct_url is not None:
        texts[f"{info}/direct_url.json"] = direct_url
    texts |= dict.fromkeys(modules, "")
    texts[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*texts, f"{info}/RECORD"])
    write_texts(site, texts)


def write_wheel(folder: Path, name: str) -> str:
    """Write a wheel with a module and a script, and return the requirement that installs it."""
    info = f"{name}-1.0.dist-info"
    texts = {
        f"{name}/__init__.py": "def main() -> None: ...\n",
        f"{info}/METADATA": f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    texts[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*texts, f"{info}/RECORD"])
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file, text in texts.items():
            archive.writestr(file, text)
    return f"{name} @ {wheel.as_uri()}"
