"""The names of budgets' counters, as the ledger and the scripts have them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate.store.script_library import lua_source
from meter.journal.counter_names import MOST_VALUES, met_value, scope_of, split_name, values_of


@pytest.mark.parametrize(
    ("labels", "dimensions", "value"),
    [
        (("user=ada",), {"user": "ada", "team": "a"}, ""),
        (("user=ada",), {"user": "bob"}, None),
        (("user=*",), {"user": "ada"}, ":ada"),
        (("user=*",), {"user": ""}, ":"),
        (("user=*",), {"user": "*"}, ":%2A"),
        (("user=*",), {"team": "a"}, None),
        (("project=x", "user=*"), {"user": "a b", "project": "x"}, ":a%20b"),
        (("project=x", "user=*"), {"user": "a", "project": "y"}, None),
        (("project=*", "user=*"), {"user": "a:b", "project": "x"}, ":x:a%3Ab"),
    ],
)
def test_dimensions_meet_a_counter_or_none(
    labels: tuple[str, ...], dimensions: dict[str, str], value: str | None
) -> None:
    assert met_value(labels, dimensions) == value


@given(st.tuples(st.text(), st.text()))
def test_a_name_tells_the_budget_and_the_values_again(values: tuple[str, str]) -> None:
    value = met_value(("a=*", "b=*"), {"a": values[0], "b": values[1]})
    assert value is not None
    assert split_name(f"b1{value}") == ("b1", value)
    assert tuple(values_of(value)) == values
    assert not set(" ,;/|") & set(value)
    assert scope_of(("a=*", "b=*"), value) == {"a": values[0], "b": values[1]}


def test_values_that_share_are_told_by_an_asterisk() -> None:
    assert scope_of(("project=x", "user=*"), ":*") == {"project": "x", "user": "*"}
    assert scope_of(("user=*",), "") == {"user": "*"}


def test_scripts_and_ledger_allow_as_many_values() -> None:
    assert f"local MOST_VALUES = {MOST_VALUES}\n" in lua_source("lib/budgets")
