"""The table of grant types covers the contract, and the scripts have the same promotional types."""

import re
from pathlib import Path

from meter.journal.grant_types import GRANT_TYPES, PROMOTIONAL_TYPES, VOUCHER_TYPES
from meter.v1.accounts_pb2 import GrantType

GRANTS_LUA = Path(__file__).parents[2] / "gate/lua/lib/grants.lua"


def test_the_table_has_every_type_of_the_contract() -> None:
    unspecified, *names = GrantType.keys()
    assert unspecified == "GRANT_TYPE_UNSPECIFIED"
    assert list(GRANT_TYPES) == names


def test_the_scripts_burn_the_same_types_first() -> None:
    line = re.search(r"is_promotional = (.*)", GRANTS_LUA.read_text(encoding="utf-8"))
    assert line is not None, "rank_of tells promotional types by name"
    assert set(re.findall(r"grant\.type == '(\w+)'", line[1])) == PROMOTIONAL_TYPES


def test_each_type_has_its_own_name_on_an_invoice() -> None:
    names = [rules.name_on_invoice for rules in GRANT_TYPES.values()]
    assert len(set(names)) == len(GRANT_TYPES)


def test_vouchers_give_promotional_credits() -> None:
    assert set(VOUCHER_TYPES) <= PROMOTIONAL_TYPES
