"""The KEYS of the scripts, letter by letter."""

from gate.store.keys import (
    account_key,
    budgets_key,
    call_keys,
    due_key,
    expiries_key,
    grants_key,
    hold_key,
    journal_key,
    replay_key,
)

REQUEST = [
    "cg:{07}:a:acme",
    "cg:{07}:r:acme r1",
    "cg:{07}:journal",
    "cg:{07}:g:acme",
    "cg:{07}:b:acme",
]
HOLD = ["cg:{07}:h:acme h1", "cg:{07}:holds"]


def test_a_debit_has_the_keys_of_a_hold_only_if_it_settles_one() -> None:
    assert call_keys("debit", 7, "acme", "r1") == REQUEST
    assert call_keys("debit", 7, "acme", "r1", "h1") == REQUEST + HOLD


def test_a_script_has_the_keys_of_its_contract_in_one_order() -> None:
    assert call_keys("authorize", 7, "acme", "r1", "h1") == REQUEST + HOLD
    assert call_keys("expire", 7, "acme", hold_id="h1") == [REQUEST[0], *REQUEST[2:], *HOLD]
    assert call_keys("grant_credits", 7, "acme", "r1") == [*REQUEST, "cg:{07}:due"]
    assert call_keys("load_account", 7, "acme") == [
        REQUEST[0],
        *REQUEST[2:],
        "cg:{07}:holds",
        "cg:{07}:due",
    ]
    assert call_keys("open_epoch", 7) == ["cg:{07}:journal", "cg:{07}:shard"]


def test_a_key_by_itself_is_the_key_of_the_scripts() -> None:
    assert [
        account_key(7, "acme"),
        replay_key(7, "acme", "r1"),
        journal_key(7),
        grants_key(7, "acme"),
        budgets_key(7, "acme"),
    ] == REQUEST
    assert [hold_key(7, "acme", "h1"), expiries_key(7)] == HOLD
    assert due_key(7) == "cg:{07}:due"
