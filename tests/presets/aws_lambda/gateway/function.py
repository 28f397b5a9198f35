"""A throw-away function process: speaks the Runtime API with the standard library, and does what its events say.

It is copied into a bundle as `nitro_bootstrap.py`. An order is a JSON object with `do`: a message's body, an
invoked payload, the query parameter `order` of a handshake or of an HTTP request.
"""

import base64
import http.client
import json
import os
import socket
import sys
import threading
import time
from typing import Any

ADDRESS = os.environ["AWS_LAMBDA_RUNTIME_API"]
ROOT = "/2018-06-01/runtime"
HANDLER = os.environ["_HANDLER"]
ticks = 0


def note(kind: str, **values: Any) -> None:
    """Add a line to the log that the test reads."""
    line = json.dumps({"kind": kind, "pid": os.getpid(), "at": time.time(), "handler": HANDLER, **values})
    # At once, however long it is: other functions write there too.
    with open(os.environ["LOG"], "ab", buffering=0) as log:
        log.write(f"{line}\n".encode())


def wait_for(file: str | None) -> None:
    """Wait until a file is there, if one is named."""
    while file and not os.path.exists(file):
        time.sleep(0.01)


def post(path: str, body: bytes, headers: dict[str, str] | None = None) -> int:
    """Post to the Runtime API and return the status."""
    connection = http.client.HTTPConnection(ADDRESS)
    connection.request("POST", ROOT + path, body, headers or {})
    status = connection.getresponse().status
    connection.close()
    return status


def stream(id: str, order: dict[str, Any]) -> None:
    """Stream an answer in chunks, with a pause before each."""
    host, _, port = ADDRESS.rpartition(":")
    connection = socket.create_connection((host, int(port)))
    kind = order.get("type", "application/vnd.awslambda.http-integration-response")
    head = (
        f"POST {ROOT}/invocation/{id}/response HTTP/1.1\r\nHost: {ADDRESS}\r\nContent-Type: {kind}\r\n"
        "Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n"
        "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n"
    )
    connection.sendall(head.encode())
    prelude = json.dumps(order.get("prelude", {"statusCode": 200})).encode() + bytes(8)
    chunks = [chunk.encode() * order.get("times", 1) for chunk in order["chunks"]]
    if "type" not in order:
        chunks.insert(0, prelude)
    for place, chunk in enumerate(chunks):
        if place == len(chunks) - 1:
            wait_for(order.get("gate"))
        connection.sendall(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        note("chunk", size=len(chunk))
        time.sleep(order.get("pause", 0))
    trailers = ""
    if order.get("fail"):
        error = base64.b64encode(json.dumps({"errorMessage": "late"}).encode()).decode()
        trailers = f"Lambda-Runtime-Function-Error-Type: Late\r\nLambda-Runtime-Function-Error-Body: {error}\r\n"
    connection.sendall(f"0\r\n{trailers}\r\n".encode())
    connection.recv(4096)
    connection.close()


def tick() -> None:
    """Count for as long as the process is not frozen."""
    global ticks
    while True:
        ticks += 1
        time.sleep(0.01)


def find_order(event: dict[str, Any]) -> dict[str, Any]:
    """Find what an event asks for."""
    if "Records" in event:
        return find_order(json.loads(event["Records"][0]["body"]))
    text = event.get("body", "") if event.get("requestContext", {}).get("messageId") else ""
    if text and event.get("isBase64Encoded"):
        text = base64.b64decode(text).decode()
    text = text or (event.get("queryStringParameters") or {}).get("order", "")
    order = json.loads(text) if text.startswith("{") else event
    return order if isinstance(order, dict) else {}


def handle(id: str, event: dict[str, Any], order: dict[str, Any]) -> None:
    """Do what is asked for, and answers."""
    time.sleep(order.get("sleep", 0))
    wait_for(order.get("until"))
    match order.get("do"):
        case "error":
            body = json.dumps({"errorMessage": "boom", "errorType": "ValueError"}).encode()
            post(f"/invocation/{id}/error", body, {"Lambda-Runtime-Function-Error-Type": "ValueError"})
        case "exit":
            os._exit(3)
        case "stream":
            stream(id, order)
        case "return":
            status = post(f"/invocation/{id}/response", json.dumps(order["value"]).encode())
            note("status", status=status, again=post(f"/invocation/{id}/response", b"{}"))
        case "echo":
            post(f"/invocation/{id}/response", json.dumps({"statusCode": 200, "body": json.dumps(event)}).encode())
        case "large":
            note("status", status=post(f"/invocation/{id}/response", b'"' + b"a" * order["size"] + b'"'))
        case "time":
            post(f"/invocation/{id}/response", json.dumps(os.path.getmtime(__file__)).encode())
        case "ticks":
            post(f"/invocation/{id}/response", json.dumps(ticks).encode())
        case "environment":
            post(f"/invocation/{id}/response", json.dumps(dict(os.environ) | {"path": sys.path}).encode())
        case _:
            post(f"/invocation/{id}/response", json.dumps({"statusCode": 200, "body": "for nobody"}).encode())
    wait_for(order.get("linger_until"))
    time.sleep(order.get("linger", 0))


def main() -> None:
    """Serve invocations for ever."""
    once = os.environ.get("FAIL_START_UNLESS")
    if "FAIL_START" in os.environ or (once and not os.path.exists(once)):
        if once:
            open(once, "w").close()
        post("/init/error", b'{"errorMessage": "no start"}', {"Lambda-Runtime-Function-Error-Type": "Start"})
        sys.exit(1)
    time.sleep(float(os.environ.get("START_SECONDS", "0")))
    threading.Thread(target=tick, daemon=True).start()
    print("hello", HANDLER)
    connection = http.client.HTTPConnection(ADDRESS)
    while True:
        connection.request("GET", f"{ROOT}/invocation/next")
        response = connection.getresponse()
        event = json.loads(response.read())
        trace = response.headers["Lambda-Runtime-Trace-Id"]
        seconds = int(response.headers["Lambda-Runtime-Deadline-Ms"]) / 1000 - time.time()
        note("start", event=event, trace=trace, seconds=seconds)
        handle(response.headers["Lambda-Runtime-Aws-Request-Id"], event, find_order(event))
        note("end", event=event)


if __name__ == "__main__":
    main()
