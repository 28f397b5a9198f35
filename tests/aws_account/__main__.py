"""Asks a deployed stack what only a real account settles, and prints what differs from what the design relies on.

`python -m tests.aws_account --stack NAME --region REGION` after `nitropy deploy` in `tests/aws_account/app`; see
`docs/aws-checklist.md`. With `--url URL` it asks an app that `nitropy preview` runs, as far as that can answer.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import closing

from nitro_py.errors import NitroError
from tests.aws_account.questions import BY_HAND, QUESTIONS, Question
from tests.aws_account.site import Account, Site


def find_site(stack: str, region: str) -> Site:
    """Find the app of a deployed stack."""
    import boto3  # type: ignore[import-untyped]

    from nitro_presets.aws_lambda.deploy.logs import list_outputs

    outputs = list_outputs(stack, region=region)
    return Site(outputs["Url"].rstrip("/"), Account(boto3.Session(region_name=region), outputs))


def ask_all(site: Site, report: Callable[[str], None], *, only: Sequence[str] = ()) -> int:
    """Ask the questions, report each answer, and return how many differ or could not be had.

    Args:
        site: The app.
        report: Takes a line.
        only: The questions to ask; by default all.
    """
    counts = {"as expected": 0, "differs": 0, "no answer": 0, "not asked": 0}
    for question in QUESTIONS:
        if only and question.name not in only:
            continue
        if question.needs_account and site.account is None:
            verdict, detail = "not asked", "needs an account"
        else:
            verdict, detail = _ask(question, site)
        counts[verdict] += 1
        report(f"{verdict:<11}  {question.name}" + (f": {detail}" if detail else ""))
    if not only:
        for name in BY_HAND:
            counts["not asked"] += 1
            report(f"{'not asked':<11}  {name}: by hand, see docs/aws-checklist.md")
    report(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    return counts["differs"] + counts["no answer"]


def _ask(question: Question, site: Site) -> tuple[str, str]:
    try:
        answer = question.ask(site)
    except Exception as error:
        # Whatever goes wrong with one question, the others are still asked.
        return "no answer", f"{type(error).__name__}: {error}"
    if answer.seen == answer.expected:
        return "as expected", answer.note
    return "differs", f"expected {answer.expected!r}, got {answer.seen!r}" + (answer.note and f" ({answer.note})")


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask, and print the answers."""
    parser = argparse.ArgumentParser("python -m tests.aws_account")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--stack", help="the deployed stack")
    place.add_argument("--url", help="an app on this machine, instead of a stack")
    parser.add_argument("--region", help="the region of the stack")
    parser.add_argument("--only", nargs="+", default=[], choices=[q.name for q in QUESTIONS], metavar="QUESTION")
    options = parser.parse_args(arguments)
    if options.stack and not options.region:
        parser.error("`--stack` needs `--region`")
    try:
        site = Site(options.url.rstrip("/")) if options.url else find_site(options.stack, options.region)
    except NitroError as error:
        print(error, file=sys.stderr)
        return 2
    with closing(site):
        return 1 if ask_all(site, print, only=options.only) else 0


if __name__ == "__main__":
    sys.exit(main())
