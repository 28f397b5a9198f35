"""The stacks that show settings in pairs, as far as there is time in each run of the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from nitro_presets.aws_lambda.settings import AwsSettings
from tests.presets.aws_lambda.deploy.pairs import (
    FACTORS,
    FEW,
    Refusal,
    Stack,
    build_row,
    check_pairs,
    choose_row,
    default_row,
    explain_refusal,
    list_all_pairs,
    list_pairs,
    run_cfn_lint,
)

# What shows in no template of its own kind: numbers and names that stand where they stood.
PLAIN = {
    "architecture",
    "binary",
    "fan_out_threshold",
    "keep_headers",
    "log_days",
    "memory",
    "name",
    "python",
    "secrets_refresh",
    "shards",
    "stream_seconds",
    "sweep_calls",
    "throttle_burst",
    "throttle_rate",
}
# What has no table of `aws`.
ELSEWHERE = {"sockets", "storage"}


def test_every_setting_that_changes_the_stack_is_paired() -> None:
    assert set(AwsSettings.model_fields) - PLAIN == set(FACTORS) - ELSEWHERE


def test_chosen_rows_have_all_pairs() -> None:
    left, refused = list_all_pairs(), [{"cloudfront": "false", "public": "s3"}]
    left.discard(frozenset(refused[0].items()))
    rows = 0
    while left:
        row = choose_row(left, refused)
        assert row.keys() == FACTORS.keys()
        assert not refused[0].items() <= row.items()
        assert left & list_pairs(row)
        left -= list_pairs(row)
        rows += 1
    assert rows < 40


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_tools_find_nothing_in_the_first_stacks(tmp_path: Path) -> None:
    stacks, _, problems = check_pairs(tmp_path, quick=True)
    assert problems == []
    assert len(stacks) == FEW


def test_cfn_lint_reads_the_stacks(tmp_path: Path) -> None:
    stack = build_row(tmp_path, default_row())
    assert isinstance(stack, Stack)
    broken = Stack(stack.row, stack.template.replace("MemorySize:", "MemorySizes:"), ())
    assert any("MemorySizes" in line for line in run_cfn_lint(broken))


def test_refusal_names_a_setting(tmp_path: Path) -> None:
    row = {"cloudfront": "false", "public": "s3"}
    refusal = build_row(tmp_path, {**default_row(), **row})
    assert isinstance(refusal, Refusal)
    assert explain_refusal(Refusal(row, refusal.error)) is None
    assert explain_refusal(Refusal({"ordered": "true", "vpc": "some"}, refusal.error)) is not None
