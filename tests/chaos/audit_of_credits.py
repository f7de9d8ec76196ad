"""What the entries come to for grants, budgets and thresholds, added up once more and in the
plainest way.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from meter.journal.allocation import decode_parts
from meter.times import date_of

Rows = Sequence[Row[Any]]

_TO = {  # the column of a grant to which an entry moves what it takes
    "DEBIT": "spent_nanos",
    "DEBT_PAID": "spent_nanos",
    "GRANT_EXPIRED": "expired_nanos",
}


def check_grants(accounts: Rows, entries: Rows, grants: Rows, open_holds: Rows) -> None:
    """Each is somewhere, whole: with its entries, its holds, or left; and what is left, less debt,
    is the account's balance.
    """
    taken: dict[tuple[str, int, str], int] = defaultdict(int)
    for entry in entries:
        for number, nanos in json.loads(entry.burned):
            taken[entry.account_id, number, _TO.get(entry.kind, "")] += nanos
    pinned: dict[tuple[str, int], int] = defaultdict(int)
    for hold in open_holds:
        for part in decode_parts(hold.pins):
            pinned[hold.account_id, part.grant] += part.amount
    remaining: dict[str, int] = defaultdict(int)
    for grant in grants:
        name = f"grant {grant.grant_id}"
        key = (grant.account_id, grant.number)
        sums = (
            grant.left_nanos,
            grant.held_nanos,
            grant.spent_nanos,
            grant.expired_nanos,
            grant.voided_nanos,
        )
        assert min(sums) >= 0, f"{name}: {sums}"
        assert sum(sums) == grant.amount_nanos, f"{name}: {sums} of {grant.amount_nanos}"
        for column in ("spent_nanos", "expired_nanos"):
            assert getattr(grant, column) == taken[*key, column], (
                f"{name}: {column}, its entries {taken[*key, column]}"
            )
        assert grant.held_nanos == pinned[key], (
            f"{name}: {grant.held_nanos} held, its open holds {pinned[key]}"
        )
        if grant.state == "EXPIRED":
            assert grant.left_nanos == 0, f"{name}: {grant.left_nanos} outlived it"
        if grant.state != "SCHEDULED":
            remaining[grant.account_id] += grant.left_nanos + grant.held_nanos
    debt: dict[str, int] = defaultdict(int)
    for entry in entries:
        debt[entry.account_id] += entry.overage_nanos
    for row in accounts:
        name = row.account_id
        due = remaining[name] - debt[name]
        assert row.remaining_nanos == due, (
            f"{name}: {row.remaining_nanos}, its grants less its debt {due}"
        )


def check_budgets(entries: Rows, budgets: Rows, windows: Rows) -> None:
    """Those for life, set before the load: what was charged for their labels is what they have
    counted.
    """
    used = {(row.account_id, row.number): (row.used_nanos, row.held_nanos) for row in windows}
    for budget in budgets:
        labels = dict(label.split("=") for label in json.loads(budget.labels))
        own = [entry for entry in entries if entry.account_id == budget.account_id]
        matched = {
            entry.hold_id for entry in own if entry.kind == "AUTHORIZE" and _has(entry, labels)
        }
        charged = held = 0
        for entry in own:
            of_its_hold = entry.hold_id in matched
            if entry.kind == "DEBIT" and (
                _has(entry, labels) if entry.late or not entry.hold_id else of_its_hold
            ):
                charged -= entry.amount_nanos
            if of_its_hold:
                held += entry.held_nanos
        found = used.get((budget.account_id, budget.number), (0, 0))
        assert found == (charged, held), (
            f"budget {budget.budget_id}: {found}, its entries {(charged, held)}"
        )


def check_events(accounts: Rows, entries: Rows, events: Rows) -> None:
    """One for each entry that tells of a crossing; and for each level of use that was reached in a
    day, one that day.
    """
    told = [
        f"{entry.shard}-{entry.epoch}-{entry.seq}" for entry in entries if entry.kind == "THRESHOLD"
    ]
    thresholds = [
        (event.account_id, json.loads(event.data))
        for event in events
        if event.type == "threshold.crossed"
    ]
    assert sorted(data["entry_id"] for _, data in thresholds) == sorted(told)
    for row in accounts:
        used: dict[int, int] = defaultdict(int)
        for entry in entries:
            if entry.account_id == row.account_id and entry.kind == "DEBIT":
                used[entry.usage_day] -= entry.amount_nanos
        own = [
            data
            for account_id, data in thresholds
            if (account_id, data["subject"]) == (row.account_id, "DAILY_USE")
        ]
        crossed = [(data["window"], int(data["level_nanos"])) for data in own]
        levels = [
            level for _, subject, level, _ in json.loads(row.thresholds) if subject == "daily_use"
        ]
        reached = [
            (date_of(day), level)
            for day, sum_of_day in used.items()
            for level in levels
            if level <= sum_of_day
        ]
        assert sorted(crossed) == sorted(reached), (
            f"{row.account_id}: told {crossed}, reached {reached}"
        )


def _has(entry: Row[Any], labels: dict[str, str]) -> bool:
    return labels.items() <= json.loads(entry.dimensions).items()
