"""Tables of the command, whatever the width of the terminal."""

import io

import pytest
from rich.table import Table

from gate.cli.connection import WholeTables


@pytest.mark.parametrize("width", [20, 80])
def test_a_table_is_never_cut(width: int) -> None:
    console = WholeTables(width=width, file=io.StringIO(), record=True)
    table = Table("grant", "some words", box=None)
    table.add_column("credits", no_wrap=True)
    table.add_row("g" + "0" * 40, "one two three", "1,234,567.000000001")
    console.print(table)
    printed = console.export_text()
    assert "g" + "0" * 40 in printed
    assert "1,234,567.000000001" in printed
