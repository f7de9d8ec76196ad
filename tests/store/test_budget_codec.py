"""The stored forms of budgets, letter by letter."""

from gate.store.budget_codec import (
    counters_in,
    decode_budgets,
    decode_labels,
    encode_budget_thresholds,
    encode_counters,
    encode_held_budgets,
    encode_labels,
    ids_for_each_value,
)


def test_budgets_are_read_with_the_sums_beside_them() -> None:
    fields = [
        b"d api_key=k1", b"b1,474096,474792 100,h - 3 month\nb2,474744,474768 50,s t1:20|t2:40 4 day",
        b"f b1", b"api_key=k1", b"f b2", b"api_key=k1",
        b"r api_key=k1", b"90", b"h api_key=k1", b"6", b"r2 api_key=k1", b"50",
    ]  # fmt: skip
    assert decode_budgets(fields, []) == {"b1": (474096, 90, 6), "b2": (474744, 50, 0)}
    assert decode_budgets([], []) == {}


def test_a_budget_for_each_value_is_read_with_its_counters() -> None:
    fields = [b"d user", b"b1,474096,474792 100,h - 3 month", b"f b1", b"user"]
    counters = [b"b1", [b"r:ada", b"-10", b"h:ada", b"4", b"r:*", b"-100", b"h:*", b"0"]]
    assert decode_budgets(fields, counters) == {
        "b1": (474096, 100, 0),
        "b1:ada": (474096, 90, 4),
        "b1:*": (474096, 0, 0),
    }


def test_a_label_for_each_value_is_stored_as_the_key_alone() -> None:
    assert encode_labels(("project=x", "user=*")) == "project=x\nuser"
    assert encode_labels(("user=a=*",)) == "user=a=*"
    assert decode_labels("project=x\nuser") == ("project=x", "user=*")
    assert decode_labels("user=a=*") == ("user=a=*",)
    assert ids_for_each_value({"f b1": "project=x\nuser", "f b2": "user=a=*"}) == ["b1"]


def test_counters_are_read_with_what_is_used_and_held() -> None:
    fields = {"r:ada": "-10", "h:ada": "4", "r:*": "0", "h:*": "0"}
    assert counters_in(fields) == {":ada": (6, 4), ":*": (0, 0)}


def test_counters_are_loaded_with_what_is_used_and_held() -> None:
    assert encode_counters([(":ada", 10, 4), (":*", 0, 0)]) == ":ada,10,4;:*,0,0"
    assert encode_counters([]) == "-"


def test_the_thresholds_of_a_budget_stand_between_bars() -> None:
    assert encode_budget_thresholds((("t1", 20), ("t2", 40))) == "t1:20|t2:40"
    assert encode_budget_thresholds(()) == "-"


def test_a_loaded_hold_names_only_budgets_that_are_still_there() -> None:
    assert encode_held_budgets("b1:ada,474096;gone,474096", {"b1": 3}) == "b1:ada,474096,3"
    assert encode_held_budgets("gone,474096", {"b1": 3}) == "-"
    assert encode_held_budgets("-", {"b1": 3}) == "-"
