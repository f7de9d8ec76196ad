"""The stored forms of an account, letter by letter; and that scripts have the same layouts."""

import re

import pytest

from gate.store.account_codec import (
    AccountField,
    AccountFlag,
    GrantTerms,
    Settings,
    StoredBalance,
    StoredGrace,
    StoredGrant,
    decode_graces,
    decode_grants,
    encode_flags,
    encode_graces,
    encode_scope,
    encode_thresholds,
    epoch_of,
)
from gate.store.script_library import library
from meter.journal.operations import Grace, Level
from meter.money import SETTING_MAX

SETTINGS = Settings(
    epoch=7,
    status="active",
    test_clock_ms=None,
    day=19781,
    due_ms=None,
    flags="gt",
    current_grant=2,
    operation_number=5,
    currency="USD",
    total=100,
    daily_limit=None,
    overage=50,
    expired=1,
    day_base=10,
    month_base=11,
    yesterday_base=12,
)


def test_settings_are_one_line_of_tokens() -> None:
    assert SETTINGS.encode() == "7 active - 19781 - gt 2 5 USD 100 - 50 1 10 11 12"
    changed = SETTINGS._replace(test_clock_ms=1709121600000, due_ms=3, daily_limit=0, flags=None)
    assert changed.encode() == "7 active 1709121600000 19781 3 - 2 5 USD 100 0 50 1 10 11 12"


@pytest.mark.parametrize(
    ("stored", "epoch"),
    [
        (None, None),
        (b"1 active - 19781 - - 0 1 USD 0 - 0 0 0 0 0", 1),
        (b"12 active - 19781 - b 0 1 USD 0 - 0 0 0 0 0\napi_key", 12),
    ],
)
def test_an_account_s_epoch_is_the_first_token_of_its_settings(
    stored: bytes | None, epoch: int | None
) -> None:
    assert epoch_of(stored) == epoch


def test_flags_follow_from_settings() -> None:
    level = Level("low", "low_balance", 5)
    grace = Grace("chat", None, None)
    assert encode_flags(spend_management=True, thresholds=(), graces=()) == ""
    assert encode_flags(spend_management=False, thresholds=(level,), graces=(grace,)) == "otg"


def test_thresholds_stand_in_the_order_in_which_they_are_crossed() -> None:
    levels = (
        Level("low", "low_balance", 5),
        Level("half", "low_balance", 50),
        Level("busy", "daily_use", 90),
        Level("calm", "daily_use", 10),
    )
    assert (
        encode_thresholds(levels)
        == "half,low_balance,50;low,low_balance,5;calm,daily_use,10;busy,daily_use,90"
    )
    assert encode_thresholds(()) == ""


def test_graces_are_a_line_each_and_come_back_as_they_were() -> None:
    graces = (Grace("chat", 60_000, 5), Grace("batch", None, None))
    stored = f"60000 5 1700000000000 chat\n- {SETTING_MAX} - batch"
    assert encode_graces(graces, {"chat": 1700000000000}) == stored
    assert decode_graces(stored) == (
        StoredGrace(60_000, 5, 1700000000000, "chat"),
        StoredGrace(None, SETTING_MAX, None, "batch"),
    )
    assert decode_graces("") == ()


def test_a_grant_is_its_state_and_its_terms() -> None:
    scope = encode_scope(("model=a", "service=chat"))
    terms = GrantTerms(1, "REFUND", 50, 4, None, scope)
    assert terms.encode() == "1 REFUND 50 4 - model=a\nservice=chat"
    assert StoredGrant("a", terms.encode()).encode() == "a 1 REFUND 50 4 - model=a\nservice=chat"
    plain = GrantTerms(0, "TOP_UP", 50, None, None, encode_scope(()))
    assert plain.encode() == "0 TOP_UP 50 - - -"


def test_grants_are_read_with_the_current_one_and_overage() -> None:
    fields = [
        b"3 m",
        b"p 0 TOP_UP 50 - 9 -",
        b"3",
        b"8",
        b"2 m",
        b"a 0 VOUCHER 50 - - -",
        b"0",
        b"-4",
    ]
    assert decode_grants(2, 30, 5, fields) == {
        0: StoredBalance("a", "", -4, 0),
        2: StoredBalance("a", "VOUCHER", 30, 5),
        3: StoredBalance("p", "TOP_UP", 8, 0),
    }
    assert decode_grants(0, 30, 5, []) == {0: StoredBalance("a", "", 30, 5)}


def lua_layout(name: str) -> tuple[str, ...]:
    """The fields of a layout in the scripts."""
    found = re.search(
        rf"^local {name} = layout\((.*?)\)$", library().code, re.MULTILINE | re.DOTALL
    )
    assert found is not None, f"no layout {name}"
    return tuple(re.findall(r"\w+", " ".join(re.findall("'(.*?)'", found[1]))))


def lua_letters(name: str) -> dict[str, str]:
    """The letters in a table of the scripts; the table's values are texts, or locals that are."""
    source = library().code
    block = source.partition(f"local {name} = {{")[2].partition("\n}")[0]
    constants: dict[str, str] = {}
    for names, values in re.findall(r"^local ([A-Z_, ]+) = ('[^\n]*')", source, re.MULTILINE):
        constants |= zip(names.split(", "), re.findall(r"'([^']*)'", values), strict=True)
    pairs = re.findall(r"^  (\w+) = '?(\w+)'?,$", block, re.MULTILINE)
    return {key: constants.get(value, value) for key, value in pairs}


def test_scripts_have_the_same_layouts() -> None:
    *head, packed = lua_layout("SETTINGS")
    assert packed == "packed"
    assert (*head, *lua_layout("PACKED_SETTINGS")) == Settings._fields
    assert lua_layout("GRANT_TERMS") == GrantTerms._fields
    assert lua_layout("GRANT_META") == ("state", *GrantTerms._fields)


def test_scripts_have_the_same_fields_and_flags() -> None:
    assert lua_letters("FIELD") == {field.name.lower(): field.value for field in AccountField}
    assert lua_letters("FLAG_LETTERS") == {flag.name.lower(): flag.value for flag in AccountFlag}
