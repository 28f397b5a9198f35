"""The page about deployments is true: what it adds to the files that a build writes fits into them."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from nitro_py.testing import client
from tests.bundles import write_files
from tests.docs.pages import find_blocks

PAGE = "docs/deployment.md"
HANDLER = """
    import os

    from nitro_py import Event, define_handler


    @define_handler
    async def handler(event: Event) -> str:
        return os.environ["API_KEY"]
"""


class ParameterStore(BaseHTTPRequestHandler):
    """An endpoint that answers as Parameter Store does."""

    def do_POST(self) -> None:
        """Answer with the parameter that is asked for."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        assert self.headers["x-amz-target"] == "AmazonSSM.GetParameter"
        body = json.dumps({"Parameter": {"Name": asked["Name"], "Value": f"secret of {asked['Name']}"}}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.mark.anyio
async def test_plugin_reads_the_secret_on_lambda_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (plugin,) = [block for block in find_blocks("python", PAGE) if "boto3" in block.text]
    assert plugin.file == "handlers/plugins/secrets.py"
    root = write_files(tmp_path, {plugin.file: plugin.text, "handlers/key.get.py": HANDLER})
    monkeypatch.setenv("API_KEY", "local")
    async with client(root) as app:
        assert (await app.get("/key")).text == "local"
    with HTTPServer(("127.0.0.1", 0), ParameterStore) as server:
        threading.Thread(target=server.serve_forever).start()
        variables = {
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ENDPOINT_URL_SSM": f"http://127.0.0.1:{server.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": "chat",
            "AWS_SECRET_ACCESS_KEY": "b",
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        try:
            async with client(root) as app:
                assert (await app.get("/key")).text == "secret of /chat/api-key"
        finally:
            server.shutdown()
