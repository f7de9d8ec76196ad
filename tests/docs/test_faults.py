"""The table of faults has every fault of the mix; what it names exists, as of any page."""

import re
from pathlib import Path

from chaos.faults import OF_ANY_LEDGER, OF_POSTGRESQL, OF_SQLITE

FAULTS = Path(__file__).parents[2] / "docs/faults.md"


def test_every_fault_of_the_mix_has_a_row_and_every_row_says_where() -> None:
    rows = [line for line in FAULTS.read_text().splitlines() if line.startswith("| ")]
    rows = [row for row in rows if not row.startswith("| fault |")]
    named = re.findall(r"`tests/chaos/faults\.py` `(\w+)`", "\n".join(rows))
    kinds = [fault.__name__ for fault in (*OF_ANY_LEDGER, *OF_SQLITE, *OF_POSTGRESQL)]
    assert sorted(named) == sorted(kinds)
    assert len(kinds) >= 20
    for row in rows:
        _, _, seen, where, _ = row.split("|")
        assert re.match(r" (survives|told|refused)\b", seen), row
        assert re.fullmatch(r" `tests/[\w/]+\.py` `\w+` ", where), row
