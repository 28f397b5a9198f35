"""Presets that tests install, or put into projects."""

from __future__ import annotations

from pathlib import Path

from tests.bundles import write_files

# Serves plain files: enough to show that a preset of another package gets all that a built-in one gets.
PRESET = """
    from dataclasses import dataclass

    from nitro_py.preset import Bundle, collect_runtime

    @dataclass(frozen=True)
    class TinyPreset:
        name: str = "{name}"
        summary: str = "for tests"

        def capabilities(self, config):
            return frozenset({{"http", "streaming"}})

        def advise(self, capability):
            return "Set `tiny.topics = true`." if capability == "topics.sse" else None

        def detect(self, environ):
            return "{variable}" if "{variable}" in environ else None

        def emit(self, build):
            files = {{**build.sources, **collect_runtime(__package__, "entry.py")}}
            files["manifest.json"] = build.manifest.to_json().encode()
            return Bundle(
                files=files,
                entry=f"{{__package__}}/entry.py",
                manifest="manifest.json",
                preview=("python", "-m", __package__ + ".entry"),
                deploy=("tiny", "deploy"),
                extra={{"region": "here"}},
            )

    preset = TinyPreset()
    """


def write_preset(folder: Path, *, variable: str = "TINY_PLATFORM") -> str:
    """Write a preset as a package, and return the package's name."""
    write_files(
        folder,
        {
            "__init__.py": "",
            "preset.py": PRESET.format(name=folder.name, variable=variable),
            "entry.py": "import nitro_py\nprint('runs with', nitro_py.__name__)\n",
        },
    )
    return folder.name


def install_preset(site: Path, name: str, *, variable: str) -> None:
    """Install a preset into a folder of `sys.path`, as a third party's distribution."""
    package = write_preset(site / name, variable=variable)
    write_files(
        site / f"{name}-1.0.dist-info",
        {
            "METADATA": f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n",
            "entry_points.txt": f"[nitro_py.presets]\n{name} = {package}.preset:preset\n",
        },
    )
