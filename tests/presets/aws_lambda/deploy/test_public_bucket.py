"""Which paths CloudFront asks the bucket of the public files for."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from nitro_presets.aws_lambda.deploy.public_bucket import MAX_BEHAVIORS, PublicBucket
from nitro_presets.aws_lambda.gateway.http_server import GatewayRequest
from nitro_presets.aws_lambda.gateway.quotas import MIB
from nitro_presets.aws_lambda.gateway.s3_origin import S3Origin
from nitro_presets.aws_lambda.preset import AwsLambdaPreset
from nitro_presets.aws_lambda.settings import AwsSettings
from nitro_py.build.pipeline import Plan
from nitro_py.build.preset import Bundle
from nitro_py.errors import BuildError
from nitro_py.runtime.asgi.public_files import hash_content
from nitro_py.runtime.manifest import Route
from tests.bundles import build_project, plan_project, run_bundle, write_files
from tests.capabilities import require_program
from tests.presets.aws_lambda.deploy.stacks import OPTIONS, read_template, render_stack

HELLO = "from nitro_py import define_handler\n@define_handler\ndef handler(event): ...\n"
# CloudFront's own module, as far as the function uses it, and a run of the function for each event.
RUN = """
import {{ readFileSync }} from 'node:fs';
let group = null;
const cf = {{
  createRequestOriginGroup(wanted) {{ group = wanted; }},
  selectRequestOriginById() {{ throw new Error('the WebSocket API'); }},
}};
{code}
const answers = JSON.parse(readFileSync(0, 'utf8')).map((event) => {{
  group = null;
  const answer = handler(event);
  return {{ answer, group }};
}});
console.log(JSON.stringify(answers));
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Plan the build of a project whose public files and routes tests replace."""
    root = write_files(
        tmp_path_factory.mktemp("project"),
        {"handlers/a.get.py": HELLO, "nitro.toml": 'aws.public = "s3"\n', "public/a.txt": "a"},
    )
    return plan_project(root, preset="aws-lambda")


def emit(
    project: Plan, public: Sequence[str], *routes: Route, where: str = "s3", cloudfront: bool = True
) -> Bundle:
    """Emit the bundle of a project with other public files and routes."""
    files = {name: name.encode() for name in public}
    hashes = {f"/{name}": hash_content(data) for name, data in files.items()}
    config = project.build.config
    table = config.table(AwsSettings).model_copy(update={"public": where, "cloudfront": cloudfront})
    build = replace(
        project.build,
        public=files,
        config=config.model_copy(update={"aws": table}),
        manifest=project.manifest._replace(public=hashes, routes=(*project.manifest.routes, *routes)),
    )
    return AwsLambdaPreset().emit(build)


def route(path: str, *, mounted: bool = False) -> Route:
    """Make a route."""
    return Route(path, "http", ("POST",), "a.get.py", mounted=mounted)


def read_bucket(bundle: Bundle) -> PublicBucket:
    """Read what the bundle says of the bucket."""
    described: Any = bundle.extra["public"]
    return PublicBucket.from_json(described)


def read_function(name: str) -> str:
    """Return the code of a function of a stack with a bucket."""
    resources = render_stack(OPTIONS["http-api+cloudfront+public"])["Resources"]
    code: str = resources[name]["Properties"]["FunctionCode"]
    return code


def run_function(code: str, events: Sequence[object], folder: Path) -> list[dict[str, Any]]:
    """Run a CloudFront function under node, for each event."""
    script = folder / "run.mjs"
    script.write_text(RUN.format(code=code.replace("import cf from 'cloudfront';", "")), encoding="utf-8")
    ran = subprocess.run(
        [require_program("node"), str(script)],
        input=json.dumps(events),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    answers: list[dict[str, Any]] = json.loads(ran.stdout)
    return answers


def make_event(uri: str, method: str = "GET", **headers: str) -> dict[str, Any]:
    """Make the event of a request, with a query and a cookie."""
    fields = {"host": "d1.cloudfront.net", **{name.replace("_", "-"): value for name, value in headers.items()}}
    request = {
        "method": method,
        "uri": uri,
        "querystring": {"response-content-type": {"value": "text/html"}},
        "headers": {name: {"value": value} for name, value in fields.items()},
        "cookies": {"session": {"value": "1"}},
    }
    context = {"eventType": "viewer-request", "requestId": "unique"}
    return {"context": context, "viewer": {"ip": "192.0.2.1"}, "request": request}


@pytest.mark.parametrize(
    ("path", "folders", "files"),
    [
        ("/api/hello", ("/assets/", "/docs/"), ("/app.js",)),
        # Each of these may answer a path in a folder.
        ("/[...rest]", (), ("/app.js", "/assets/a.js", "/assets/deep/b.js", "/docs/index.html")),
        ("/[name]/x", ("/assets/deep/",), ("/app.js", "/assets/a.js", "/docs/index.html")),
        ("/[name]", ("/assets/", "/docs/"), ("/app.js",)),
        ("/assets", ("/assets/", "/docs/"), ("/app.js",)),
        ("/assets/[id]", ("/assets/deep/", "/docs/"), ("/app.js", "/assets/a.js")),
        ("/assets/deep/[...all]", ("/docs/",), ("/app.js", "/assets/a.js", "/assets/deep/b.js")),
    ],
)
def test_folder_is_the_bucket_s_if_no_route_answers_in_it(
    project: Plan, path: str, folders: tuple[str, ...], files: tuple[str, ...]
) -> None:
    public = ("app.js", "assets/a.js", "assets/deep/b.js", "docs/index.html")
    bucket = read_bucket(emit(project, public, route(path)))
    assert (bucket.folders, bucket.files, bucket.indexes) == (folders, files, ("/docs",))
    assert bucket.objects.keys() == set(public)
    assert read_bucket(emit(project, public, route(path))) == bucket


@pytest.mark.parametrize("path", ["/", "/assets", "/assets/deep"])
def test_mounted_application_answers_all_below_its_path(project: Plan, path: str) -> None:
    public = ("assets/deep/a.js",)
    assert read_bucket(emit(project, public, route(path, mounted=True))).folders == ()
    assert read_bucket(emit(project, public, route("/other", mounted=True))).folders == ("/assets/",)


def test_folder_that_a_path_pattern_cannot_name_is_listed(project: Plan) -> None:
    bucket = read_bucket(emit(project, ["fotos élan/a.jpg", "what?/b.txt", "c*/d.txt"]))
    assert bucket.folders == ()
    assert len(bucket.files) == 3


def test_files_do_not_travel_with_the_functions(project: Plan) -> None:
    # Internal paths are the functions' first, and only they have the pages of errors.
    bundle = emit(project, ("app.js", "404.html", "_nitro/more.txt"))
    packaged = {path for path in bundle.files if path.startswith("server/public/")}
    assert packaged == {"server/public/404.html", "server/public/_nitro/more.txt"}
    manifest = json.loads(bundle.files["server/manifest.json"])
    assert manifest["public"].keys() == {"/404.html", "/_nitro/more.txt"}
    assert {path for path in bundle.files if path.startswith("public/")} == {"public/404.html", "public/app.js"}


def test_functions_serve_the_files_by_default(project: Plan) -> None:
    assert AwsSettings().public == "function"
    bundle = emit(project, ("app.js",), where="function")
    assert "server/public/app.js" in bundle.files
    assert "public/app.js" not in bundle.files
    assert "PublicBucket" not in read_template(bundle.files["template.yaml"].decode())["Resources"]


def test_without_files_there_is_no_bucket(project: Plan) -> None:
    bundle = emit(project, ())
    assert "PublicBucket" not in read_template(bundle.files["template.yaml"].decode())["Resources"]


def test_bucket_needs_cloudfront(project: Plan) -> None:
    with pytest.raises(BuildError, match=r'`aws\.public` is "s3" and `aws\.cloudfront` is false') as caught:
        emit(project, ("app.js",), cloudfront=False)
    assert "aws.cloudfront = true" in str(caught.value.hint)


def test_file_may_be_larger_than_an_answer_of_a_function(project: Plan) -> None:
    hashes = {"/film.bin": "0" * 32}
    build = replace(
        project.build, public={"film.bin": bytes(7 * MIB)}, manifest=project.manifest._replace(public=hashes)
    )
    assert AwsLambdaPreset().emit(build).files["public/film.bin"]


def test_more_folders_than_cloudfront_has_patterns_for(project: Plan) -> None:
    most = [f"folder{number}/a.txt" for number in range(MAX_BEHAVIORS - 1)]
    assert len(read_bucket(emit(project, most)).folders) == MAX_BEHAVIORS - 1
    with pytest.raises(BuildError, match=r"`public` needs 25 path patterns of CloudFront.*takes 24") as caught:
        emit(project, [*most, "one/more.txt"])
    assert "fewer folders" in str(caught.value.hint)


def test_more_files_than_the_edge_function_can_list(project: Plan) -> None:
    names = [f"a-file-with-a-name-of-some-length-{number}.txt" for number in range(250)]
    message = r"function has \d+ bytes, and CloudFront takes 10240: it lists 250"
    with pytest.raises(BuildError, match=message) as caught:
        emit(project, names)
    assert "such as `assets/`" in str(caught.value.hint)
    assert read_bucket(emit(project, [f"assets/{name}" for name in names])).files == ()


PATHS = (
    "/",
    "//",
    "/index.html",
    "/hello.txt",
    "/hello%2Etxt",
    "/hello.txt/",
    "/hello.txt%00",
    "/Hello.txt",
    "/assets",
    "/assets/",
    "/assets/app.js",
    "/assets/old.js",
    "/assets/%61pp.js",
    "/assets/a%20b+c'(1).txt",
    "/assets//",
    "/assets/x/",
    "/assets%2Fapp.js",
    "/assets/na%C3%AFve.txt",
    "/assets/%zz",
    "/assets/%ff",
    "/assets/..%2fmanifest.json",
    "/%61ssets/app.js",
    "/docs",
    "/docs/",
    "/docs///",
    "/docs/index.html",
    "/docs/other.html",
    "/api/hello",
    "/api/file.txt",
    "/constructor",
    "/_nitro/health",
)


def test_edge_function_and_gateway_pick_the_same_files(project: Plan, tmp_path: Path) -> None:
    public = ("index.html", "hello.txt", "assets/app.js", "docs/index.html", "api/file.txt", "naïve.txt")
    bundle = emit(project, public, route("/api/[name]"), route("/docs/[name]"))
    template = read_template(bundle.files["template.yaml"].decode())
    code = template["Resources"]["EdgeFunction"]["Properties"]["FunctionCode"]
    paths = (*PATHS, "/na%C3%AFve.txt", "/api/file.txt/", "/api/none.txt")
    answers = run_function(code, [make_event(path) for path in paths], tmp_path)
    origin = S3Origin(tmp_path, read_bucket(bundle))
    for path, answer in zip(paths, answers, strict=True):
        rewritten = origin.rewrite(GatewayRequest("GET", f"{path}?x=1", (("Host", "x"), ("Cookie", "a=1")), ""))
        if rewritten is None:
            assert (answer["group"], answer["answer"]["uri"]) == (None, path)
            assert answer["answer"]["cookies"]
            assert answer["answer"]["querystring"]
            # Not for the cache, by whatever path pattern.
            assert answer["answer"]["headers"]["x-nitro-request"] == {"value": "unique"}
        else:
            assert "x-nitro-request" not in answer["answer"]["headers"]
            assert rewritten.headers == (("Host", "x"),)
            assert (answer["answer"]["uri"], answer["answer"]["querystring"]) == (rewritten.target, {})
            assert answer["answer"]["cookies"] == {}
            assert answer["group"]["originIds"] == [{"originId": "public"}, {"originId": "http"}]
            assert answer["group"]["failoverCriteria"] == {"statusCodes": [403, 404]}


def test_edge_function_passes_on_what_s3_may_see(tmp_path: Path) -> None:
    code = render_stack(OPTIONS["http-api+cloudfront+public"])["Resources"]["EdgeFunction"]["Properties"][
        "FunctionCode"
    ]
    tag = '"0123"'
    sent = {
        "range": "bytes=1-2",
        "if_range": tag,
        "if_none_match": tag,
        "if_match": tag,
        "if_modified_since": "x",
        "authorization": "Basic x",
        "x_amz_acl": "public",
        "accept": "text/html",
        "x_nitro_request": "forged",
    }
    events = [
        make_event("/index.html", **sent),
        make_event("/index.html", **{**sent, "if_range": f"W/{tag}"}),
        make_event("/index.html", "POST", **sent),
    ]
    kept, whole, posted = (answer["answer"]["headers"] for answer in run_function(code, events, tmp_path))
    passed = {"host", "range", "if-range", "if-none-match", "accept", "x-nitro-host", "x-nitro-address"}
    assert kept.keys() == passed
    assert whole.keys() == passed - {"range"}
    assert posted.keys() >= {"authorization", "x-amz-acl", "if-match"}


def test_answers_of_the_bucket_lose_the_time_of_the_upload(tmp_path: Path) -> None:
    code = render_stack(OPTIONS["http-api+cloudfront+public"])["Resources"]["PublicFunction"]["Properties"][
        "FunctionCode"
    ]

    def answer(server: str) -> dict[str, Any]:
        names = {"server": server, "etag": '"1"', "last-modified": "x", "x-amz-server-side-encryption": "AES256"}
        return {"response": {"headers": {name: {"value": value} for name, value in names.items()}}}

    stored, other = run_function(code, [answer("AmazonS3"), answer("uvicorn")], tmp_path)
    assert stored["answer"]["headers"].keys() == {"server", "etag"}
    assert other["answer"]["headers"].keys() == {"server", "etag", "last-modified", "x-amz-server-side-encryption"}


def test_only_the_distribution_reads_the_bucket() -> None:
    template = render_stack(OPTIONS["http-api+cloudfront+public"])
    bucket = template["Resources"]["PublicBucket"]["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    allowed, denied = template["Resources"]["PublicBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert allowed["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    assert allowed["Action"] == "s3:GetObject"
    assert "distribution/${Distribution}" in str(allowed["Condition"]["StringEquals"]["AWS:SourceArn"])
    assert (denied["Effect"], denied["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    # The functions have no need of it.
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::IAM::Role":
            assert "s3:" not in json.dumps(resource, default=str), name


def test_only_folders_without_routes_are_cached() -> None:
    config = render_stack(OPTIONS["http-api+cloudfront+public"])["Resources"]["Distribution"]["Properties"]
    default = config["DistributionConfig"]["DefaultCacheBehavior"]
    # CachingDisabled: a route's answer must not be another user's.
    assert default["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
    (cached,) = config["DistributionConfig"]["CacheBehaviors"]
    assert (cached["PathPattern"], cached["CachePolicyId"]) == ("/assets/*", {"Ref": "PublicCache"})
    policy = render_stack(OPTIONS["http-api+cloudfront+public"])["Resources"]["PublicCache"]["Properties"]
    key = policy["CachePolicyConfig"]["ParametersInCacheKeyAndForwardedToOrigin"]
    assert key["HeadersConfig"] == {"HeaderBehavior": "whitelist", "Headers": ["x-nitro-request"]}
    assert cached["FunctionAssociations"] == default["FunctionAssociations"]


@pytest.mark.slow
def test_objects_have_the_fields_of_other_presets(project: Plan, tmp_path: Path) -> None:
    names = ("a.txt", "b.html", "c.js", "d.css", "e.png", "f", "g.json", "h.woff2", "i.tar.gz", "j.3f9a0c1b.js")
    bucket = read_bucket(emit(project, names))
    files = {f"public/{name}": name for name in names}
    output = build_project(write_files(tmp_path, {"handlers/a.get.py": HELLO, **files}))
    with run_bundle(output) as server:
        for name in names:
            fields = httpx.get(f"{server.url}/{name}").headers
            found = bucket.objects[name]
            assert (fields["content-type"], fields["cache-control"]) == (found.kind, found.cache)
            assert fields["etag"] == f'"{found.hash}"'
