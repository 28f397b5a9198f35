"""What each setting refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from nitro_py.build.config.settings import NitroConfig, runtime_settings
from nitro_py.runtime.settings import Settings
from tests.build.config_files import fail_to_load

JSON_HINT = "Use text, numbers, `true`, `false`, lists and tables only."
FOLDER = "a folder inside the project, relative to its root and not the root itself"
GLOB = "a relative glob with `/` between folders and without `..`"
ORIGIN = "`scheme://host[:port]`, a host pattern such as `*.example.com`, or `*`"
HOST = (
    "a host such as `example.com` or `[::1]` without scheme, port and path, `*.example.com` for its subdomains, "
    "or `*` for all"
)
HOST_IN_UNICODE = HOST.replace(", `*", ", in the ASCII form that browsers send (`xn--…`), `*", 1)
HOST_HINT = 'Write `allowed_hosts = ["example.com", "*.example.com"]`, for example.'
ORIGIN_HINT = 'Write `allowed_origins = ["https://example.com", "*.example.com"]`, for example.'
PATH = "a path that starts with `/`, without query or fragment"


@pytest.mark.parametrize(
    ("text", "key", "expected", "got", "hint"),
    [
        (
            "dev.port = -1",
            "dev.port",
            "an integer from 0 to 65535",
            "-1",
            "Write `port = 3000`, for example.",
        ),
        (
            "dev.port = true",
            "dev.port",
            "an integer from 0 to 65535",
            "true",
            "Write `port = 3000`, for example.",
        ),
        (
            "dev.hmr.port = 65536",
            "dev.hmr.port",
            "an integer from 0 to 65535",
            "65536",
            "Write `port = 3002`, for example.",
        ),
        ("dev.hmr.path = 'x'", "dev.hmr.path", PATH, '"x"', 'Write `path = "/_nitro/hmr"`, for example.'),
        (
            "dev.hmr.path = '/x?y'",
            "dev.hmr.path",
            PATH,
            '"/x?y"',
            'Write `path = "/_nitro/hmr"`, for example.',
        ),
        ("dev.host = ''", "dev.host", "a non-empty string", '""', 'Write `host = "127.0.0.1"`, for example.'),
        ("dev = 3", "dev", "a table", "3", "Write its keys below a line `[dev]`."),
        ("production = 3", "production", "a table", "3", "Write its keys below a line `[production]`."),
        (
            "runtime_config = 3",
            "runtime_config",
            "a table",
            "3",
            "Write its keys below a line `[runtime_config]`.",
        ),
        (
            "runtime_config.a = [1, nan]",
            "runtime_config.a[1]",
            "a value that JSON can hold",
            "nan",
            JSON_HINT,
        ),
        (
            "runtime_config.a.b = 2020-01-01",
            "runtime_config.a.b",
            "a value that JSON can hold",
            "2020-01-01",
            JSON_HINT,
        ),
        (
            "experimental.websocket = 1",
            "experimental.websocket",
            "`true` or `false`",
            "1",
            "Write `websocket = true`, for example.",
        ),
        (
            "sse.heartbeat = inf",
            "sse.heartbeat",
            "a number of at least 0",
            "inf",
            "Write `heartbeat = 15.0`, for example.",
        ),
        (
            "websocket.idle_timeout = -1",
            "websocket.idle_timeout",
            "a number of at least 0",
            "-1",
            "Write `idle_timeout = 30.0`, for example.",
        ),
        (
            "websocket.max_queue = 0",
            "websocket.max_queue",
            "an integer of at least 1",
            "0",
            "Write `max_queue = 64`, for example.",
        ),
        (
            "http.max_body = '1 MiB'",
            "http.max_body",
            "an integer of at least 1",
            '"1 MiB"',
            "Write `max_body = 10485760`, for example.",
        ),
        ("preset = ''", "preset", "a non-empty string", '""', 'Write `preset = "asgi"`, for example.'),
        (
            "ignore = 'x'",
            "ignore",
            "a list of strings",
            '"x"',
            'Write `ignore = ["**/*_test.py"]`, for example.',
        ),
        (
            "ignore = ['a', 1]",
            "ignore[1]",
            "a string",
            "1",
            'Write `ignore = ["**/*_test.py"]`, for example.',
        ),
        (
            "include = ['../x']",
            "include[0]",
            GLOB,
            '"../x"',
            'Write `include = ["templates/**"]`, for example.',
        ),
        ("include = ['']", "include[0]", GLOB, '""', 'Write `include = ["templates/**"]`, for example.'),
        (
            "handlers_dir = '../x'",
            "handlers_dir",
            FOLDER,
            '"../x"',
            'Write `handlers_dir = "handlers"`, for example.',
        ),
        (
            "handlers_dir = '.'",
            "handlers_dir",
            FOLDER,
            '"."',
            'Write `handlers_dir = "handlers"`, for example.',
        ),
        ("output_dir = '/x'", "output_dir", FOLDER, '"/x"', 'Write `output_dir = ".output"`, for example.'),
        (
            "public_dir = 'C:\\x'",
            "public_dir",
            FOLDER,
            '"C:\\\\x"',
            'Write `public_dir = "public"`, for example.',
        ),
        ("output_dir = ''", "output_dir", FOLDER, '""', 'Write `output_dir = ".output"`, for example.'),
        (
            "websocket.allowed_origins = ['https://a.com/x']",
            "websocket.allowed_origins[0]",
            ORIGIN,
            '"https://a.com/x"',
            ORIGIN_HINT,
        ),
        (
            "websocket.allowed_origins = ['ftp://example.com']",
            "websocket.allowed_origins[0]",
            ORIGIN,
            '"ftp://example.com"',
            ORIGIN_HINT,
        ),
        (
            "websocket.allowed_origins = ['example.com']",
            "websocket.allowed_origins[0]",
            ORIGIN,
            '"example.com"',
            ORIGIN_HINT,
        ),
        (
            "server.allowed_hosts = ['http://example.com']",
            "server.allowed_hosts[0]",
            HOST,
            '"http://example.com"',
            HOST_HINT,
        ),
        (
            "server.allowed_hosts = ['example.com:80']",
            "server.allowed_hosts[0]",
            HOST,
            '"example.com:80"',
            HOST_HINT,
        ),
        (
            "server.allowed_hosts = ['::1']",
            "server.allowed_hosts[0]",
            HOST,
            '"::1"',
            HOST_HINT,
        ),
        (
            "server.allowed_hosts = ['bücher.test']",
            "server.allowed_hosts[0]",
            HOST_IN_UNICODE,
            '"bücher.test"',
            HOST_HINT,
        ),
    ],
)
def test_wrong_value(tmp_path: Path, text: str, key: str, expected: str, got: str, hint: str) -> None:
    error = fail_to_load(tmp_path, f"# a comment\n{text}")
    assert error.message == f"`{key}`: expected {expected}, got `{got}`."
    assert (error.file, error.line, error.hint) == ("nitro.toml", 2, hint)


def test_defaults_of_what_ships_are_those_of_the_runtime() -> None:
    assert Settings.from_json(runtime_settings(NitroConfig()), {}) == Settings()
