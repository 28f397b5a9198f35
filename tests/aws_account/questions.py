"""What only a real account settles, as questions to the app of `tests/aws_account/app`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
from websockets.exceptions import ConnectionClosed

from tests.aws_account.site import NOTE, PATIENCE, Site, make_name, read_json

# Texts that would not arrive if they were put into a form or into JSON as they are.
TEXTS = (
    "",
    "plain",
    '"quoted" \\',
    "a=1&b=2+3%20",
    "line\nline\r\n\t",
    "\x01\x1f",
    "ü€𝄞",
    "$context.stage",
    "x" * 30_000,
)
ASSET = "/assets/app.js"
# Fields that a 304 has as the 200 would.
VALIDATED = ("cache-control", "etag")


@dataclass(frozen=True, slots=True)
class Answer:
    """What was expected, and what was seen.

    Args:
        expected: What the design relies on.
        seen: What there was.
        note: What is worth knowing beside that, such as a measured time.
    """

    expected: object
    seen: object
    note: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A question.

    Args:
        name: Its name, as `docs/aws-checklist.md` has it.
        ask: Asks it of the app.
        needs_account: Whether an app on this machine cannot answer.
    """

    name: str
    ask: Callable[[Site], Answer]
    needs_account: bool = False


def ask_upgrade(site: Site) -> Answer:
    with site.open() as socket:
        opened = "id" in read_json(socket)
    plain = site.get("/talk")
    return Answer({"opened": True, "plain GET": 426}, {"opened": opened, "plain GET": plain.status_code})


def ask_query(site: Site) -> Answer:
    with site.open(NOTE) as socket:
        return Answer(NOTE, read_json(socket)["note"])


def ask_subprotocol(site: Site) -> Answer:
    with site.open(protocols=("other", "check")) as socket:
        return Answer("check", socket.subprotocol)


def ask_greeting(site: Site) -> Answer:
    with site.open() as socket:
        first = "id" in read_json(socket)
        socket.send("next")
        return Answer((True, {"text": "next"}), (first, read_json(socket)))


def ask_texts(site: Site) -> Answer:
    with site.open() as socket:
        read_json(socket)
        seen = []
        for text in TEXTS:
            socket.send(text)
            seen.append(read_json(socket)["text"])
    changed = [(text[:40], got[:40]) for text, got in zip(TEXTS, seen, strict=True) if text != got]
    return Answer([], changed)


def ask_order(site: Site) -> Answer:
    texts = [str(number) for number in range(50)]
    with site.open() as socket:
        read_json(socket)
        for text in texts:
            socket.send(text)
        return Answer(texts, [read_json(socket)["text"] for _ in texts])


def ask_address(site: Site) -> Answer:
    with site.open() as socket:
        of_socket = read_json(socket)["address"]
    seen = site.get("/seen").raise_for_status().json()["address"]
    return Answer(of_socket, seen, "compare it with this machine's own public address")


def ask_host(site: Site) -> Answer:
    return Answer(urlsplit(site.url).netloc, site.get("/seen").raise_for_status().json()["host"])


def ask_close(site: Site) -> Answer:
    with site.open() as socket:
        peer = read_json(socket)["id"]
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = site.get("/flag", params={"name": f"closed-{peer}"})
        if found.status_code == 200:
            return Answer(1, found.json()["count"])
        time.sleep(0.2)
    return Answer(1, 0, f"`close` did not run within {PATIENCE:g} s: `$disconnect` is lost, or late")


def ask_binary(site: Site) -> Answer:
    return _ask_refused(site, b"binary", 1003)


def ask_large_frame(site: Site) -> Answer:
    return _ask_refused(site, "x" * 40_000, 1009)


def _ask_refused(site: Site, message: str | bytes, code: int) -> Answer:
    with site.open() as socket:
        read_json(socket)
        socket.send(message)
        try:
            return Answer(code, socket.recv(PATIENCE))
        except ConnectionClosed as closed:
            return Answer(code, closed.rcvd.code if closed.rcvd else "no close frame")


def ask_stream(site: Site) -> Answer:
    name = make_name()
    lines = []
    with site.http.stream("GET", f"{site.url}/held", params={"name": name}) as answer:
        for line in answer.iter_lines():
            lines.append(line)
            if line == "first":
                site.set_flag(name)
    return Answer(["first", "second"], lines)


def ask_broken_stream(site: Site) -> Answer:
    try:
        answer = site.get("/broken")
    except (httpx.RemoteProtocolError, httpx.ReadError):
        return Answer("an answer that breaks off", "an answer that breaks off")
    return Answer("an answer that breaks off", f"{answer.status_code} with a proper end: {answer.text[:100]!r}")


def ask_not_found(site: Site) -> Answer:
    name = make_name()
    before = site.get("/flag", params={"name": name}).status_code
    site.set_flag(name)
    return Answer((404, 200), (before, site.get("/flag", params={"name": name}).status_code))


def ask_not_modified(site: Site) -> Answer:
    whole = site.get(ASSET)
    again = site.get(ASSET, headers={"if-none-match": whole.headers.get("etag", "")})
    kept = {name: whole.headers.get(name, "not there") for name in VALIDATED}
    return Answer({"status": 304, **kept}, {"status": again.status_code, **_pick(again)})


def _pick(answer: httpx.Response) -> dict[str, str]:
    return {name: answer.headers.get(name, "not there") for name in VALIDATED}


def ask_range(site: Site) -> Answer:
    tag = site.get(ASSET).headers.get("etag", "")
    seen = {}
    for name, value in (("same", tag), ("other", '"other"'), ("date", "Tue, 01 Jan 2030 00:00:00 GMT")):
        answer = site.get(ASSET, headers={"range": "bytes=0-5", "if-range": value})
        seen[name] = answer.status_code
    return Answer({"same": 206, "other": 200, "date": 200}, seen)


def ask_missing_file(site: Site) -> Answer:
    answer = site.get(f"/assets/{make_name()}.js")
    return Answer((404, 404), (answer.status_code, answer.json().get("status")))


def ask_page(site: Site) -> Answer:
    answer = site.get("/page.html")
    return Answer((200, True), (answer.status_code, "beside the routes" in answer.text))


def ask_cached(site: Site) -> Answer:
    site.get(ASSET).raise_for_status()
    return Answer("Hit from cloudfront", site.get(ASSET).headers.get("x-cache"))


def ask_bucket(site: Site) -> Answer:
    bucket, region = site.find_account().outputs["PublicBucketName"], site.find_account().session.region_name
    answer = site.http.get(f"https://{bucket}.s3.{region}.amazonaws.com{ASSET}")
    return Answer(403, answer.status_code)


def ask_function_url(site: Site) -> Answer:
    found = (
        site.find_account()
        .session.client("lambda")
        .get_function_url_config(FunctionName=site.find_account().outputs["HttpFunctionName"])
    )
    return Answer(403, site.http.get(f"{found['FunctionUrl']}seen").status_code)


def ask_gone(site: Site) -> Answer:
    client = site.find_account().session.client(
        "apigatewaymanagementapi", endpoint_url=site.find_account().outputs["CallbackUrl"]
    )
    with site.open() as socket:
        peer = read_json(socket)["id"]
        client.get_connection(ConnectionId=peer)
    start = time.monotonic()
    posts = 0
    while time.monotonic() < start + PATIENCE:
        try:
            client.post_to_connection(ConnectionId=peer, Data=b"late")
        except client.exceptions.GoneException:
            return Answer(True, True, f"after {time.monotonic() - start:.2f} s and {posts} posts that were taken")
        posts += 1
    return Answer(True, False, f"{posts} posts were taken for {PATIENCE:g} s after the close")


QUESTIONS: tuple[Question, ...] = (
    Question("upgrade-origin", ask_upgrade),
    Question("connect-query", ask_query),
    Question("subprotocol", ask_subprotocol),
    Question("greeting", ask_greeting),
    Question("fifo-mapping", ask_texts),
    Question("fifo-order", ask_order),
    Question("address", ask_address),
    Question("host", ask_host),
    Question("close-once", ask_close),
    Question("binary-in", ask_binary),
    Question("large-frame", ask_large_frame),
    Question("stream", ask_stream),
    Question("trailers", ask_broken_stream),
    Question("error-cache", ask_not_found),
    Question("not-modified", ask_not_modified),
    Question("if-range", ask_range),
    Question("origin-group", ask_missing_file),
    Question("page", ask_page),
    Question("cache-key", ask_cached, needs_account=True),
    Question("bucket-access", ask_bucket, needs_account=True),
    Question("function-url-access", ask_function_url, needs_account=True),
    Question("gone-window", ask_gone, needs_account=True),
)
# What needs a change of the stack, and so a person: `docs/aws-checklist.md` has the steps.
BY_HAND = ("alarms", "domain", "secrets", "snapstart", "stages", "vpc")
