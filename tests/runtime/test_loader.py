"""One module, one identity: whatever a file is called by, it is loaded once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bundles import write_files

LOAD = """
import sys
from pathlib import Path
from nitro_py.runtime.routing.loader import load_file
for file in sys.argv[1:]:
    print(load_file(Path.cwd(), file).VALUE)
"""


def load(root: Path, *files: str) -> list[str]:
    """Load files of a project in a new process, and return the `VALUE` of each."""
    command = [sys.executable, "-P", "-c", LOAD, *files]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


STATE = "ITEMS = []\n"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("from ._state import ITEMS", "from shop.routes._state import ITEMS"),
        ("from shop.routes._state import ITEMS", "from ._state import ITEMS"),
        ("from src.shop.routes._state import ITEMS", "from shop.routes._state import ITEMS"),
        (
            "import shop.routes._state as s; ITEMS = s.ITEMS",
            "from src.shop.routes import _state; ITEMS = _state.ITEMS",
        ),
        ("from .. import state; ITEMS = state.ITEMS", "import shop.state; ITEMS = shop.state.ITEMS"),
    ],
)
@pytest.mark.parametrize("init", [True, False], ids=["regular", "namespace"])
def test_module_in_src_has_one_state(tmp_path: Path, first: str, second: str, *, init: bool) -> None:
    texts = {
        "src/shop/routes/_state.py": STATE,
        "src/shop/state.py": STATE,
        "src/shop/routes/a.py": f"{first}\nITEMS.append(1)\nVALUE = len(ITEMS)\n",
        "src/shop/routes/b.py": f"{second}\nITEMS.append(1)\nVALUE = len(ITEMS)\n",
    }
    if init:
        texts["src/shop/__init__.py"] = ""
    write_files(tmp_path, texts)
    assert load(tmp_path, "src/shop/routes/a.py", "src/shop/routes/b.py") == ["1", "2"]


def test_relative_imports_of_a_module_with_two_names(tmp_path: Path) -> None:
    texts = {
        "src/shop/__init__.py": "",
        "src/shop/a.py": "def late():\n    from .b import X\n    return X\n",
        "src/shop/b.py": "X = 7\n",
        "src/routes/one.py": "from ..shop.a import late\nVALUE = late()\n",
        "src/routes/two.py": "from shop.a import late\nVALUE = late()\n",
    }
    write_files(tmp_path, texts)
    assert load(tmp_path, "src/routes/one.py", "src/routes/two.py") == ["7", "7"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("init", [True, False], ids=["regular", "plain"])
def test_file_beside_a_folder_of_its_name(tmp_path: Path, order: tuple[int, int], *, init: bool) -> None:
    texts = {
        "handlers/_db.py": "X = 1\n",
        "handlers/users.py": "from ._db import X\nfrom .users._store import Y\nVALUE = X + Y\n",
        "handlers/users/_store.py": "from .._db import X\nY = X + 1\n",
        "handlers/users/[id].py": "from ._store import Y\nfrom .._db import X\nVALUE = X + Y + 10\n",
    }
    if init:
        texts["handlers/users/__init__.py"] = ""
    write_files(tmp_path, texts)
    files = ["handlers/users.py", "handlers/users/[id].py"]
    expected = ["3", "13"]
    assert load(tmp_path, *(files[index] for index in order)) == [expected[index] for index in order]


def test_parameter_beside_a_folder_of_its_name(tmp_path: Path) -> None:
    texts = {"handlers/[id].py": "VALUE = 1\n", "handlers/[id]/posts.py": "from ._x import VALUE\n"}
    write_files(tmp_path, {**texts, "handlers/[id]/_x.py": "VALUE = 2\n"})
    assert load(tmp_path, "handlers/[id]/posts.py", "handlers/[id].py") == ["2", "1"]
