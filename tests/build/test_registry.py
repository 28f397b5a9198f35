"""Choosing a preset and finding it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nitro_py.build.config.load import load_config
from nitro_py.build.pipeline import choose_preset, plan_build, write_plan
from nitro_py.build.registry import find_preset, list_presets
from nitro_py.errors import BuildError, ConfigError
from tests.build.presets import install_preset, write_preset
from tests.bundles import clean_environment, plan_project, write_files

HELLO = {"handlers/hello.py": "from nitro_py import define_handler\n\n@define_handler\ndef h(event): ...\n"}


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder to install into, and undoes what a preset does to the import system."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    yield folder
    # Not by a copy of `sys.modules` in its place: modules in C would go on looking into the first one.
    for name, module in list(sys.modules.items()):
        places = [getattr(module, "__file__", None) or "", *getattr(module, "__path__", ())]
        if any(place.startswith(str(tmp_path)) for place in places):
            del sys.modules[name]


def choose(
    root: Path,
    *,
    flag: str | None = None,
    config: str | None = None,
    environ: dict[str, str] | None = None,
) -> tuple[str, str]:
    """Choose a preset, and return its name and why it was chosen."""
    if config is not None:
        (root / "nitro.toml").write_text(f"preset = '{config}'\n")
    environ = environ or {}
    loaded = load_config(root, mode="production", overrides={"preset": flag}, environ=environ)
    choice = choose_preset(loaded, environ)
    return choice.preset.name, choice.reason


def test_order_of_resolution(site: Path, tmp_path: Path) -> None:
    for name in ("byflag", "byvariable", "byconfig", "bydetection"):
        install_preset(site, name, variable="TINY_DETECTED" if name == "bydetection" else "NEVER")
    environ = {"NITRO_PRESET": "byvariable", "TINY_DETECTED": "1"}
    assert choose(tmp_path, flag="byflag", config="byconfig", environ=environ) == (
        "byflag",
        "set by the command line",
    )
    assert choose(tmp_path, config="byconfig", environ=environ) == ("byvariable", "set by `NITRO_PRESET`")
    del environ["NITRO_PRESET"]
    assert choose(tmp_path, config="byconfig", environ=environ) == ("byconfig", "set by `nitro.toml`")
    (tmp_path / "nitro.toml").unlink()
    assert choose(tmp_path, environ=environ) == ("bydetection", "`TINY_DETECTED` is set in the environment")
    assert choose(tmp_path) == ("asgi", "the default")


def test_installed_presets_are_listed(site: Path) -> None:
    before = list_presets()
    assert "asgi" in before
    install_preset(site, "thirdparty", variable="NEVER")
    assert list_presets() == sorted([*before, "thirdparty"])


def test_unknown_preset(site: Path, tmp_path: Path) -> None:
    install_preset(site, "thirdparty", variable="NEVER")
    listed = ", ".join(f"`{name}`" for name in list_presets())
    with pytest.raises(BuildError) as caught:
        find_preset("asgy", tmp_path)
    assert str(caught.value) == (
        f"Unknown preset `asgy`: expected one of {listed}, or a folder with a `preset.py`.\n"
        "  hint: Did you mean `asgi`?"
    )
    with pytest.raises(BuildError) as caught:
        find_preset("zzzzzz", tmp_path)
    assert caught.value.hint is None


def test_unknown_preset_in_a_file_is_found_there(tmp_path: Path) -> None:
    with pytest.raises(BuildError) as caught:
        choose(tmp_path, config="asgy")
    assert (caught.value.file, caught.value.line) == ("nitro.toml", 1)


def test_installed_preset_that_cannot_be_imported(site: Path, tmp_path: Path) -> None:
    install_preset(site, "broken", variable="NEVER")
    (site / "broken/preset.py").write_text("import no_such_module\n")
    with pytest.raises(
        BuildError, match=r"^The preset `broken` cannot be imported: No module named 'no_such_module'"
    ):
        find_preset("broken", tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import no_such_module\n", "The preset `./mine` cannot be imported: No module named 'no_such_module'."),
        ("preset = = 1\n", "The preset `./mine` cannot be imported: invalid syntax (preset.py, line 1)."),
        ("1 / 0\n", "The preset `./mine` cannot be imported: division by zero."),
        ("", "`./mine` is no preset: it lacks `name`, `summary`, `capabilities`, `advise`, `detect`, `emit`."),
    ],
)
def test_broken_preset_of_the_project(tmp_path: Path, text: str, message: str) -> None:
    write_files(tmp_path, {"mine/preset.py": text})
    with pytest.raises(BuildError) as caught:
        find_preset("./mine", tmp_path)
    assert caught.value.message == message


def test_half_a_preset_says_what_it_lacks(tmp_path: Path) -> None:
    write_files(tmp_path, {"half/preset.py": "class preset:\n    name = 'half'\n    detect = print\n"})
    with pytest.raises(BuildError) as caught:
        find_preset("half", tmp_path)
    assert caught.value.message == "`half` is no preset: it lacks `summary`, `capabilities`, `advise`, `emit`."


@pytest.mark.parametrize("name", ["./tiny_preset", "tiny_preset", "deploy/tiny_preset"])
def test_folder_of_the_project_is_a_preset(tmp_path: Path, name: str) -> None:
    root = write_files(tmp_path / "project", HELLO)
    write_preset(root / name)
    loaded = load_config(root, mode="production", overrides={"preset": name}, environ={})
    plan = plan_build(loaded, choose_preset(loaded, {}))
    write_plan(plan)
    described = json.loads((root / ".output/nitro.json").read_text())
    assert described["preset"] == "tiny_preset"
    assert described["region"] == "here"
    assert described["app"] is None
    assert described["commands"] == {"preview": "python -m tiny_preset.entry", "deploy": "tiny deploy"}
    assert {"handlers/hello.py", "tiny_preset/entry.py", "nitro_py/runtime/app.py"} <= set(plan.bundle.files)
    assert "tiny_preset/preset.py" not in plan.bundle.files
    ran = subprocess.run(
        [sys.executable, "-m", "tiny_preset.entry"],
        cwd=root / ".output",
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "runs with nitro_py\n"


def test_preset_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    root = write_files(
        tmp_path,
        {
            "nitro.toml": "features.websocket = true",
            "handlers/chat.py": "from nitro_py import define_websocket_handler\nh = define_websocket_handler()\n",
            "handlers/feed.py": HELLO["handlers/hello.py"].replace(
                "@define_handler", "@define_handler(topics=True)"
            ),
            **HELLO,
        },
    )
    write_preset(root / "tiny_preset")
    with pytest.raises(BuildError) as caught:
        plan_project(root, preset="tiny_preset")
    assert str(caught.value) == (
        "2 problems were found.\n"
        "The route `/chat` needs `websocket`, which the preset `tiny_preset` cannot do.\n"
        "  at handlers/chat.py\n"
        "  hint: `tiny_preset` can do: `http`, `streaming`.\n"
        "The route `/feed` needs `topics.sse`, which the preset `tiny_preset` cannot do.\n"
        "  at handlers/feed.py\n"
        "  hint: Set `tiny.topics = true`."
    )


SETTINGS = """
    from nitro_py.preset import ServerPreset, SettingsTable

    class Settings(SettingsTable):
        size: int = 3

    class MinePreset(ServerPreset):
        name, summary, settings, settings_table = "mine", "for tests", Settings, "mine"

        def emit(self, build): ...

    preset = MinePreset()
    """


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('Settings, "mine"', 'Settings, "dev"', "names its table of settings `dev`: expected `mine`."),
        ('Settings, "mine"', 'Settings, "other"', "names its table of settings `other`: expected `mine`."),
        ("Settings, ", "3, ", "are `3`, which is no table of settings."),
        ("int = 3", "int", "has no default that is valid."),
    ],
)
def test_settings_that_are_no_table(tmp_path: Path, before: str, after: str, message: str) -> None:
    write_files(tmp_path, {"mine/preset.py": SETTINGS.replace(before, after)})
    with pytest.raises(BuildError) as caught:
        find_preset("./mine", tmp_path)
    assert caught.value.message.endswith(message)
    write_files(tmp_path, {"nitro.toml": "# mine\n[mine]\nsize = 4\n"})
    with pytest.raises(ConfigError) as refused:
        load_config(tmp_path, mode="production", overrides={}, environ={})
    assert (refused.value.file, refused.value.line) == ("nitro.toml", 2)


def test_table_of_two_presets_is_refused(site: Path, tmp_path: Path) -> None:
    for name in ("mine-one", "mine-two"):
        package = name.replace("-", "_")
        install_preset(site, package, variable="NEVER")
        write_files(
            site,
            {
                f"{package}/preset.py": SETTINGS.replace('"mine", "for', f'"{name}", "for'),
                f"{package}-1.0.dist-info/entry_points.txt": (
                    f"[nitro_py.presets]\n{name} = {package}.preset:preset\n"
                ),
            },
        )
    (tmp_path / "nitro.toml").write_text("[mine]\nsize = 4\n")
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path, mode="production", overrides={}, environ={})
    assert caught.value.message == "The table `mine` belongs to more than one preset: `mine-one`, `mine-two`."
