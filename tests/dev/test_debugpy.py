"""A client of the Debug Adapter Protocol attaches to the process that runs handlers, across reloads."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.bundles import write_files
from tests.cli.commands import HELLO, fail, make_project, serve_project
from tests.dev.pages import PATIENCE, wait_for
from tests.dev.test_debugger import asking

HANDLER = "handlers/api/word.get.py"
WORD = """
    from nitro_py import Event, define_handler


    @define_handler
    async def handler(event: Event) -> dict[str, str]:
        word = "{word}"
        return {{"message": word}}
"""
# The line of `return`.
LINE = 7


class DebugClient:
    """A client of the Debug Adapter Protocol, as an editor is.

    Args:
        connection: The connection to the port of `--debug`.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._file = connection.makefile("rb")
        self._count = 0
        self.messages: list[dict[str, Any]] = []

    def send(self, command: str, **arguments: object) -> int:
        """Send a request, and return its number."""
        self._count += 1
        message = {"seq": self._count, "type": "request", "command": command, "arguments": arguments}
        data = json.dumps(message).encode()
        self._connection.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(data), data))
        return self._count

    def ask(self, command: str, **arguments: object) -> Any:
        """Send a request, and return the body of its answer."""
        number = self.send(command, **arguments)
        answer = self.wait(lambda message: message.get("request_seq") == number)
        assert answer["success"], answer
        return answer.get("body")

    def wait_for_event(self, name: str) -> Any:
        """Wait for an event, and return its body."""
        return self.wait(lambda message: message.get("event") == name).get("body")

    def wait(self, fits: Any) -> dict[str, Any]:
        """Wait for a message."""
        while True:
            for message in self.messages:
                if fits(message):
                    self.messages.remove(message)
                    return message
            length = 0
            while line := self._file.readline().strip():
                length = int(line.partition(b":")[2])
            assert length, "The connection has ended."
            self.messages.append(json.loads(self._file.read(length)))


@contextmanager
def attach(port: int, file: Path) -> Iterator[DebugClient]:
    """Attach with a breakpoint, until the end of the block."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)) as connection:
        client = DebugClient(connection)
        client.ask("initialize", adapterID="test", pathFormat="path")
        attached = client.send("attach", justMyCode=True)
        client.wait_for_event("initialized")
        client.ask("setBreakpoints", source={"path": str(file)}, breakpoints=[{"line": LINE}])
        client.ask("configurationDone")
        assert client.wait(lambda message: message.get("request_seq") == attached)["success"]
        yield client


def stop_and_go_on(client: DebugClient, url: str, word: str) -> None:
    """Ask the app, look at a variable at the breakpoint, and go on."""
    with asking(url) as answers:
        thread = client.wait_for_event("stopped")["threadId"]
        frame = client.ask("stackTrace", threadId=thread)["stackFrames"][0]
        assert (Path(frame["source"]["path"]).name, frame["line"]) == ("word.get.py", LINE)
        value = client.ask("evaluate", expression="word.upper()", frameId=frame["id"])
        assert value["result"] == repr(word.upper())
        client.ask("continue", threadId=thread)
    assert answers[0].json() == {"message": word}


def test_debugger_attaches_across_reloads(tmp_path: Path, unused_port: int) -> None:
    root = make_project(tmp_path / "project", {HANDLER: WORD.format(word="first")})
    with serve_project(root, "dev", "--port", "0", "--debug", str(unused_port)) as server:
        wait_for(lambda: "Ready in" in server.read_log())
        assert f"Debugger on 127.0.0.1:{unused_port}\n" in server.read_log()
        with attach(unused_port, root / HANDLER) as client:
            stop_and_go_on(client, f"{server.url}/api/word", "first")
            write_files(root, {HANDLER: WORD.format(word="second")})
            # The editor attaches again by itself where `launch.json` has `restart`.
            assert client.wait_for_event("terminated") == {"restart": True}
        wait_for(lambda: "Reloaded" in server.read_log())
        with attach(unused_port, root / HANDLER) as client:
            stop_and_go_on(client, f"{server.url}/api/word", "second")
            client.ask("disconnect")
        assert httpx.get(f"{server.url}/api/hello").json() == {"message": "hello"}
        # What a page of another site could send.
        with closing(socket.create_connection(("127.0.0.1", unused_port), timeout=PATIENCE)) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
            assert connection.recv(1) == b""


def test_address_that_is_none_is_refused(tmp_path: Path) -> None:
    root = make_project(tmp_path / "project", {"handlers/api/hello.get.py": HELLO})
    expected = "Wrong value for `--debug`: expected `[HOST:]PORT`, got `here`.\n"
    assert fail_in_dev(root, "here").startswith(expected)


def fail_in_dev(root: Path, address: str) -> str:
    """Start `nitropy dev` with an address that it refuses, and return the error."""
    return fail(root, "dev", "--port", "0", "--hmr-port", "0", "--debug", address)
