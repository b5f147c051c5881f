"""Text tables as the terminal shows them."""

import pytest

from melanoma_pl.messages import format_table


def test_columns_are_as_wide_as_their_longest_cell() -> None:
    rows = [["", "images", "n"], ["train", "8", "12"], ["validation", "10", ""]]
    assert format_table(rows) == ["            images   n", "train            8  12", "validation      10"]


@pytest.mark.parametrize(
    ("align", "expected"),
    [
        ("<", "a    b    c"),
        (">", "  a    b    c"),
        ("<>", "a      b    c"),
        ("><", "  a  b    c"),
        ("<^>", "a     b     c"),
    ],
)
def test_the_last_alignment_serves_all_further_columns(align: str, expected: str) -> None:
    assert format_table([["a", "b", "c"], ["xyz", "xyz", "xyz"]], align)[0] == expected


def test_no_rows_are_no_lines() -> None:
    assert format_table([]) == []


def test_a_cell_may_hold_several_lines_above_a_rule() -> None:
    rows = [["", "AUROC\n[95 % CI]"], ["test", "0.812\n[0.700-0.900]"]]
    assert format_table(rows, rule=True) == [
        "              AUROC",
        "          [95 % CI]",
        "----  -------------",
        "test          0.812",
        "      [0.700-0.900]",
    ]
