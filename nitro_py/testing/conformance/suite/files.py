"""Public files and the health endpoint."""

from __future__ import annotations

from hashlib import md5

import pytest

from nitro_py.testing.conformance.target import Target, requires

HELLO = "Hello from a file, with enough in it for a range.\n"


@pytest.mark.anyio
class Files:
    """Tests of what is served beside the routes."""

    async def test_health_is_told(self, target: Target) -> None:
        """Check H9 of the contract."""
        answer = await target.request("GET", "/_nitro/health")
        assert (answer.status, answer.json()) == (200, {"status": "ok"})

    async def test_public_file_is_served_with_its_type(self, target: Target) -> None:
        """Check R10 of the contract."""
        answer = await target.request("GET", "/hello.txt")
        assert (answer.status, answer.text) == (200, HELLO)
        assert answer.headers["content-type"].startswith("text/plain")
        head = await target.request("HEAD", "/hello.txt")
        assert (head.status, head.body) == (200, b"")

    @requires("http.length")
    async def test_public_file_tells_its_length(self, target: Target) -> None:
        """Check R10 of the contract."""
        head = await target.request("HEAD", "/hello.txt")
        assert head.headers["content-length"] == str(len(HELLO))

    async def test_index_is_served_for_its_folder(self, target: Target) -> None:
        """Check R10 of the contract."""
        answer = await target.request("GET", "/folder/")
        assert (answer.text, answer.headers["content-type"]) == ("<p>An index.</p>\n", "text/html; charset=utf-8")

    async def test_file_that_is_known_is_not_sent_again(self, target: Target) -> None:
        """Check R10 of the contract."""
        tag = (await target.request("GET", "/hello.txt")).headers["etag"]
        same = await target.request("GET", "/hello.txt", headers={"if-none-match": tag})
        assert (same.status, same.body) == (304, b"")
        other = await target.request("GET", "/hello.txt", headers={"if-none-match": '"another"'})
        assert other.text == HELLO

    async def test_validator_is_made_of_the_content(self, target: Target) -> None:
        """Check R10 of the contract."""
        answer = await target.request("GET", "/hello.txt")
        assert answer.headers["etag"] == f'"{md5(HELLO.encode()).hexdigest()}"'
        assert "last-modified" not in answer.headers
        # The time of a file says nothing about its version.
        later = {"if-modified-since": "Fri, 01 Jan 2100 00:00:00 GMT"}
        assert (await target.request("GET", "/hello.txt", headers=later)).text == HELLO

    async def test_caches_ask_again_unless_the_name_has_a_hash(self, target: Target) -> None:
        """Check R10 of the contract."""
        for path, kept in (
            ("/hello.txt", "no-cache"),
            ("/folder/", "no-cache"),
            ("/app.3f9a0c1b.txt", "public, max-age=31536000, immutable"),
        ):
            answer = await target.request("GET", path)
            assert (answer.status, answer.headers["cache-control"]) == (200, kept)
            tag = answer.headers["etag"]
            same = await target.request("GET", path, headers={"if-none-match": tag})
            assert (same.status, same.headers["cache-control"], same.headers["etag"]) == (304, kept, tag)

    async def test_range_of_another_version_is_the_whole_file(self, target: Target) -> None:
        """Check R10 of the contract."""
        tag = (await target.request("GET", "/hello.txt")).headers["etag"]
        part = await target.request("GET", "/hello.txt", headers={"range": "bytes=6-9", "if-range": tag})
        assert (part.status, part.text) == (206, "from")
        for other in ('"another"', f"W/{tag}", "Tue, 01 Jan 1980 00:00:00 GMT"):
            whole = await target.request("GET", "/hello.txt", headers={"range": "bytes=6-9", "if-range": other})
            assert (whole.status, whole.text) == (200, HELLO)

    async def test_range_of_a_file_is_served(self, target: Target) -> None:
        """Check R10 of the contract."""
        part = await target.request("GET", "/hello.txt", headers={"range": "bytes=6-9"})
        assert (part.status, part.text) == (206, "from")
        assert part.headers["content-range"] == f"bytes 6-9/{len(HELLO)}"
        beyond = await target.request("GET", "/hello.txt", headers={"range": "bytes=1000-"})
        assert beyond.status == 416

    @pytest.mark.parametrize(
        "path",
        [
            "/%2e%2e/manifest.json",
            "/..%2fmanifest.json",
            "/folder/..%2f..%2fmanifest.json",
            "/folder/%2e%2e/%2e%2e/manifest.json",
            "/%2fetc%2fpasswd",
            "/manifest.json",
            "/requirements.txt",
            "/nitro_server.py",
            "/handlers/plugins.get.py",
            "/public/hello.txt",
            "/hello.txt%00",
        ],
    )
    async def test_nothing_else_is_served(self, target: Target, path: str) -> None:
        """Check R10 of the contract."""
        assert (await target.request("GET", path)).status == 404

    async def test_public_file_takes_no_other_method(self, target: Target) -> None:
        """Check R10 of the contract."""
        assert (await target.request("POST", "/hello.txt")).status in (404, 405)

    @pytest.mark.parametrize(
        ("path", "status", "title"),
        [
            ("/nowhere", 404, "Not here"),
            ("/fail/phrase", 404, "Not here"),
            ("/fail/detail", 500, "Broken"),
            ("/fail/unwritable", 500, "Broken"),
        ],
    )
    async def test_browser_gets_the_page_for_an_error(
        self, target: Target, path: str, status: int, title: str
    ) -> None:
        """Check H15 of the contract."""
        browser = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
        page = await target.request("GET", path, headers=browser)
        assert (page.status, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert f"<title>{title}</title>" in page.text
        assert page.headers["cache-control"] == "no-store"
        assert {"etag", "last-modified", "accept-ranges"}.isdisjoint(page.headers)
        head = await target.request("HEAD", path, headers=browser)
        assert (head.status, head.headers["content-type"], head.body) == (status, "text/html; charset=utf-8", b"")

    @pytest.mark.parametrize("accept", ["application/json", "*/*", "application/json, text/html;q=0.9"])
    async def test_other_client_gets_the_json_of_an_error(self, target: Target, accept: str) -> None:
        """Check H15 of the contract."""
        for path, status in (("/nowhere", 404), ("/fail/detail", 500)):
            answer = await target.request("GET", path, headers={"accept": accept})
            assert (answer.status, answer.json()["status"]) == (status, status)

    async def test_answer_of_the_apps_own_is_no_error(self, target: Target) -> None:
        """Check H15 of the contract."""
        browser = {"accept": "text/html"}
        answer = await target.request("GET", "/mounted/nowhere", headers=browser)
        assert (answer.status, answer.text) == (404, "Not Found")
        own = await target.request("GET", "/fail/own", headers=browser)
        assert (own.status, own.json()) == (404, {"mine": True})
        other = await target.request("GET", "/fail/returned", headers=browser)
        assert (other.status, other.json()["data"]) == (410, [1])

    async def test_page_for_an_error_keeps_header_fields(self, target: Target) -> None:
        """Check H14 and H15 of the contract."""
        page = await target.request("GET", "/fail/staged", headers={"accept": "text/html"})
        assert (page.status, page.headers["x-kept"], page.headers["set-cookie"]) == (500, "yes", "a=1")
        assert "Broken" in page.text
