"""Stacks in which each value of a setting meets each value of every other one, and what the tools say of them.

`python -m tests.presets.aws_lambda.deploy.pairs` builds them all and asks cfn-lint, `sam validate --lint` and
checkov; with `--quick` it builds only a few, and asks cfn-lint about each and the other two about one.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nitro_presets.aws_lambda.deploy.lint import lint
from nitro_py.errors import BuildError
from tests.bundles import plan_project, write_files
from tests.capabilities import require_program

# A setting → the name of a value → the lines that set it; the first is the default.
FACTORS: Mapping[str, Mapping[str, str]] = {
    "streaming": {"none": "", "function-url": 'streaming = "function-url"'},
    "cloudfront": {"true": "", "false": "cloudfront = false"},
    "public": {"function": "", "s3": 'public = "s3"'},
    "domain": {
        "none": "",
        "made": 'domain = {name = "chat.example.com", hosted_zone = "Z0123456789ABC"}',
        "given": 'domain = {name = "chat.example.com", certificate = "'
        'arn:aws:acm:us-east-1:123456789012:certificate/0a1b2c3d-0a1b-2c3d-4e5f-0a1b2c3d4e5f"}',
    },
    "ordered": {"false": "", "true": "ordered = true"},
    "log_level": {"none": "", "error": 'log_level = "error"'},
    "functions": {
        "same": "",
        "memory": "functions.http.memory = 1024\nfunctions.websocket = {memory = 256, timeout = 60}",
        "timeout": "functions.http.timeout = 20",
    },
    "alarms": {
        "unset": "",
        "none": 'alarms = ""',
        "topic": 'alarms = "arn:aws:sns:us-east-1:123456789012:alarms"',
    },
    "stages": {
        "none": "",
        "some": "stages.test = {memory = 256, log_days = 3}",
        "all": "stages.live = {memory = 1024, log_days = 30, throttle_burst = 9, throttle_rate = 5, "
        'alarms = "arn:aws:sns:us-east-1:123456789012:live"}',
    },
    "environment": {
        "none": "",
        "text": 'environment = {GREETING = "good day"}',
        "computed": 'environment = {PLACE = "!Sub ${AWS::Region}-${AWS::AccountId}"}',
    },
    "secrets": {
        "none": "",
        "ssm": 'secrets = {KEY = "ssm:/app/key"}',
        "secretsmanager": 'secrets = {KEY = "secretsmanager:app/key", OTHER = "ssm:/app/other"}',
    },
    "statements": {
        "none": "",
        "some": 'statements = [{Action = "s3:GetObject", Resource = "arn:aws:s3:::photos/*", Effect = "Allow"}]',
    },
    "vpc": {"none": "", "some": 'vpc = {subnets = ["subnet-0a1b2c3d"], security_groups = ["sg-0a1b2c3d"]}'},
    "tags": {"none": "", "some": 'tags = {team = "chat"}'},
    "overrides": {
        "none": "",
        "tracing": 'overrides.HttpFunction.Properties.TracingConfig.Mode = "Active"\n'
        "overrides.HttpRole.Properties.ManagedPolicyArns = "
        '["arn:aws:iam::aws:policy/AWSXRayDaemonWriteAccess"]',
    },
    # Read by `lay_out`: what these set lies elsewhere.
    "extend": {"none": "", "resources": ""},
    "storage": {"none": "", "used": ""},
    "sockets": {"some": "", "none": ""},
}
APP = {
    "handlers/page.get.py": """
        from nitro_py import Event, define_handler

        @define_handler
        async def handler(event: Event) -> str:
            return "a page"
        """,
    "public/index.html": "<h1>A page</h1>\n",
    "public/assets/app.js": "export default 1\n",
}
SOCKETS = """
    from nitro_py import Message, Peer, define_websocket_handler

    async def message(peer: Peer, message: Message) -> None:
        await peer.send(message.text())

    handler = define_websocket_handler(message=message)
    """
STORAGE = """
    from nitro_py import Event, define_handler, storage

    @define_handler
    async def handler(event: Event) -> str:
        await storage().set("key", "value")
        return "stored"
    """
EXTENSION = """
    Parameters:
      Depth: {Type: Number, Default: 5}
    Resources:
      Orders:
        Type: AWS::SQS::Queue
        Properties: {KmsMasterKeyId: alias/aws/sqs, DelaySeconds: !Ref Depth}
      MayOrder:
        Type: AWS::IAM::Policy
        Properties:
          PolicyName: orders
          Roles: [!Ref HttpRole]
          PolicyDocument:
            Version: "2012-10-17"
            Statement: {Effect: Allow, Action: sqs:SendMessage, Resource: !GetAtt Orders.Arn}
    Outputs:
      OrdersUrl: {Value: !Ref Orders}
    """
HEAD = 'preset = "aws-lambda"\nexperimental.websocket = true\n[aws]\n'
# How many stacks a quick run has.
FEW = 2
Row = dict[str, str]
Pair = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack that a build has made.

    Args:
        row: The settings' values, by name.
        template: The template.
        notes: What the build tells.
    """

    row: Row
    template: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Settings that the build refuses.

    Args:
        row: The settings' values, by name.
        error: What the build says.
    """

    row: Row
    error: BuildError


def default_row() -> Row:
    """Return the row of the defaults."""
    return {name: next(iter(values)) for name, values in FACTORS.items()}


def describe_row(row: Row) -> str:
    """Describe what a row has beside the defaults."""
    changed = [f"{name}={value}" for name, value in row.items() if value != default_row()[name]]
    return " ".join(changed) or "defaults"


def list_pairs(row: Row) -> set[Pair]:
    """List the pairs of values that a row has."""
    return {frozenset(pair) for pair in itertools.combinations(row.items(), 2)}


def list_all_pairs() -> set[Pair]:
    """List the pairs of values of any two settings."""
    values = [(name, value) for name, named in FACTORS.items() for value in named]
    return {frozenset(pair) for pair in itertools.combinations(values, 2) if pair[0][0] != pair[1][0]}


def choose_row(left: set[Pair], refused: Collection[Row]) -> Row:
    """Choose a row with a pair that no stack has yet, and with as many others as can be."""
    first = dict(min(left, key=sorted))
    row = dict(first)
    for name in sorted(FACTORS, key=lambda name: -len(FACTORS[name])):
        if name in row:
            continue
        allowed = [value for value in FACTORS[name] if not has_any({**row, name: value}, refused)]
        if not allowed:
            return {**default_row(), **first}
        row[name] = max(allowed, key=lambda value: len(list_pairs({**row, name: value}) & left))
    return {name: row[name] for name in FACTORS}


def has_any(row: Row, combinations: Collection[Row]) -> bool:
    """Return whether a row has all the values of any of some combinations."""
    return any(combination.items() <= row.items() for combination in combinations)


def lay_out(root: Path, row: Row) -> Path:
    """Write a small project with the settings of a row."""
    files = dict(APP)
    lines = [FACTORS[name][value] for name, value in row.items()]
    files["nitro.toml"] = HEAD + "\n".join(line for line in lines if line) + "\n"
    if row["sockets"] == "some":
        files["handlers/socket.py"] = SOCKETS
    if row["storage"] == "used":
        files["handlers/keep.post.py"] = STORAGE
    if row["extend"] == "resources":
        files["infra/aws.yaml"] = EXTENSION
    return write_files(root, files)


def build_row(root: Path, row: Row) -> Stack | Refusal:
    """Build a row's project, in a new folder."""
    try:
        bundle = plan_project(lay_out(root, row)).bundle
    except BuildError as error:
        return Refusal(row, error)
    return Stack(row, bundle.files["template.yaml"].decode(), tuple(bundle.notes))


def build_pairs(folder: Path, *, most: int | None = None) -> tuple[list[Stack], list[Refusal]]:
    """Build rows until each pair of values has a stack or is refused.

    Args:
        folder: Where the projects lie.
        most: How many stacks are enough; by default all.

    Returns:
        The stacks, and the smallest combinations that the build refuses.
    """
    numbers = itertools.count()

    def build(row: Row) -> Stack | Refusal:
        return build_row(folder / str(next(numbers)), {**default_row(), **row})

    def shrink(refusal: Refusal) -> Refusal:
        row = {name: value for name, value in refusal.row.items() if value != default_row()[name]}
        for name in list(row):
            smaller = {other: value for other, value in row.items() if other != name}
            built = build(smaller)
            if isinstance(built, Refusal):
                row, refusal = smaller, built
        return Refusal(row, refusal.error)

    stacks: list[Stack] = []
    refusals: list[Refusal] = []
    left = list_all_pairs()
    while left and (most is None or len(stacks) < most):
        refused = [refusal.row for refusal in refusals]
        # A pair that is refused by itself.
        left -= {pair for pair in left if has_any(dict(pair), refused)}
        if not left:
            break
        built = build(choose_row(left, refused))
        if isinstance(built, Refusal):
            refusals.append(shrink(built))
            continue
        stacks.append(built)
        left -= list_pairs(built.row)
    return stacks, refusals


def explain_refusal(refusal: Refusal) -> str | None:
    """Return what is wrong with a refusal, which must be of settings together and name one of them."""
    said = f"{refusal.error.message} {refusal.error.hint or ''}"
    if len(refusal.row) > 1 and any(re.search(rf"\baws\.{name}\b", said) for name in refusal.row):
        return None
    return f"{describe_row(refusal.row)}: a refusal without a reason: {refusal.error}"


def run_cfn_lint(stack: Stack) -> list[str]:
    """Return what cfn-lint finds."""
    return [f"{finding.rule} line {finding.line}: {finding.message}" for finding in lint(stack.template)]


def run_sam(folder: Path, stack: Stack) -> list[str]:
    """Return what `sam validate --lint` finds."""
    _write_stack(folder, stack)
    command = [str(require_program("sam")), "validate", "--lint", "--template", "template.yaml"]
    environ = os.environ | {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1"}
    checked = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    said = checked.stdout + checked.stderr
    found = re.findall(r"^.*\b[EWI]\d{4}\b.*$", said, re.MULTILINE)
    if checked.returncode != 0 or "is a valid SAM Template" not in said:
        return found or [said]
    return found


def run_checkov(folder: Path, stacks: Sequence[Stack]) -> dict[int, list[str]]:
    """Return what checkov finds: number of the stack → its lines."""
    for number, stack in enumerate(stacks):
        _write_stack(folder / str(number), stack)
    command = [str(require_program("checkov")), "--framework", "cloudformation", "--skip-download"]
    command += ["--output", "json", "--directory", str(folder)]
    checked = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    results = json.loads(checked.stdout)["results"]
    read = {int(Path(row["file_path"]).parts[1]) for row in results["passed_checks"]}
    found: dict[int, list[str]] = {
        number: ["checkov has read nothing"] for number in range(len(stacks)) if number not in read
    }
    for row in results["failed_checks"]:
        number = int(Path(row["file_path"]).parts[1])
        found.setdefault(number, []).append(f"{row['check_id']} {row['resource']}: {row['check_name']}")
    return found


def _write_stack(folder: Path, stack: Stack) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "template.yaml").write_text(stack.template, encoding="utf-8")
    (folder / "function.zip").touch()


def check_stacks(folder: Path, stacks: Sequence[Stack], *, full: int) -> Iterator[str]:
    """Ask cfn-lint about stacks, and the other tools about the last `full` ones; return what they find."""
    chosen = stacks[-full:]
    for stack in stacks:
        yield from (f"{describe_row(stack.row)}: cfn-lint {line}" for line in run_cfn_lint(stack))
    for stack in chosen:
        yield from (f"{describe_row(stack.row)}: sam {line}" for line in run_sam(folder / "sam", stack))
    for number, lines in run_checkov(folder / "checkov", chosen).items():
        yield from (f"{describe_row(chosen[number].row)}: checkov {line}" for line in lines)


def check_pairs(folder: Path, *, quick: bool) -> tuple[list[Stack], list[Refusal], list[str]]:
    """Build stacks, and return them, what the build refuses, and what is wrong."""
    stacks, refusals = build_pairs(folder / "projects", most=FEW if quick else None)
    problems = [problem for problem in map(explain_refusal, refusals) if problem is not None]
    problems += check_stacks(folder, stacks, full=1 if quick else len(stacks))
    return stacks, refusals, problems


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the stacks, and print what was found."""
    parser = argparse.ArgumentParser("python -m tests.presets.aws_lambda.deploy.pairs")
    parser.add_argument("--quick", action="store_true", help="few stacks; sam and checkov read one")
    with tempfile.TemporaryDirectory() as folder:
        stacks, refusals, problems = check_pairs(Path(folder), quick=parser.parse_args(arguments).quick)
    print(f"{len(stacks)} stacks for {len(list_all_pairs())} pairs of values")
    for refusal in refusals:
        print(f"refused: {describe_row(refusal.row)}: {refusal.error.message}")
    print(*(problems or ["Nothing found."]), sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
