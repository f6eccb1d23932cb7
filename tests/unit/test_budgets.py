"""The look-up table of budgets: what is written of it, and what it says of budgets that nothing fits."""

import dataclasses
from pathlib import Path

import pytest

from flexifed.elastic import budgets
from flexifed.elastic.budgets import Table
from flexifed.settings.protocol import Budgets, Protocol
from flexifed.system.errors import UserError

PROTOCOL = Protocol(clients=4, versions=("B1", "B2"), budgets=Budgets(levels=(0.5, 1.0)))

DESCRIBED = """\
MLP-5 takes 542,440 bytes each way in a round. Of this a tier can afford, and takes:

cut by depth
  B1   0.5      0.407    MLP-3
  B2   1        1        MLP-5

cut by width
  B1   0.5      0.487    MLP-5 at width 0.6875
  B2   1        1        MLP-5

cut by depth and width
  B1   0.5      0.487    MLP-5 at width 0.6875
  B2   1        1        MLP-5

cut by depth and sparsity
  B1   0.5      0.413    MLP-5, 41 % of its values
  B2   1        1        MLP-5"""


def table(family: str = "mlp", **changes: object) -> Table:
    assert PROTOCOL.budgets is not None
    its_budgets = dataclasses.replace(PROTOCOL.budgets, **changes)  # type: ignore[arg-type]
    return budgets.look_up(family, (1, 8, 8), 10, {}, dataclasses.replace(PROTOCOL, budgets=its_budgets))


def test_a_table_as_text() -> None:
    """Bytes of a model that has no statistics are four to a parameter."""
    assert budgets.describe(table(measure="bytes")) == DESCRIBED


@pytest.mark.parametrize(
    ("measure", "unit"),
    [
        ("parameters", "135,610 parameters."),
        ("multiply_adds", "134,800 multiply-adds."),
        ("memory", "bytes of memory in training."),
    ],
)
def test_a_table_says_of_what_its_shares_are(measure: str, unit: str) -> None:
    assert unit in budgets.describe(table(measure=measure)).splitlines()[0]


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    budgets.write(table(), tmp_path / "table.json")
    assert budgets.read(tmp_path / "table.json") == table()
    (tmp_path / "table.json").write_text('{"family": "mlp"}')
    with pytest.raises(UserError, match=r"table\.json is not a table of budgets: .* Make it again\."):
        budgets.read(tmp_path / "table.json")


def test_a_budget_below_the_smallest_member_is_told_before_training_to_those_who_cut_so() -> None:
    """A layer fewer saves an MLP little; a narrower one fits."""
    small = table(levels=(0.01, 1.0))
    with pytest.raises(UserError) as raised:
        budgets.members(small, "elf", {})
    assert str(raised.value) == (
        "tier 'B1' can afford 0.01 of the multiply-adds of MLP-5. Cut by depth, the smallest member, MLP-2, takes "
        "0.11: raise this entry of `budgets.levels`, or let the strategy cut otherwise."
    )
    assert f"cut by depth\n  {raised.value}\n" in budgets.describe(small)
    assert "B1   0.05" in budgets.describe(table(levels=(0.05, 1.0)))
    assert budgets.members(table(levels=(0.05, 1.0)), "heterofl", {})["B1"].width < 1
