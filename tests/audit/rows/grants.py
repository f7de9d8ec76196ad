"""Rows on the books with grants of every kind and fate."""

from audit.rows.breaking import Break, Row, effect, entry, gone, row
from meter.audit import Invariant as Rule
from support.histories import DAY, JANUARY

NOT_KEPT = " is recorded as "


def _grant(number: int, **changes: object) -> Break:
    return row("grants", changes, account_id="acme", number=number)


ROWS = [
    Row(Rule.GRANTS, ", which nobody recorded", entry("GRANT", burned="[[99,1000]]")),
    Row(Rule.GRANTS, " was not waiting to begin", effect("GRANT_STARTED", 0, "/5:300/", "/2:300/")),
    Row(Rule.GRANTS, " began too early, or with other than its amount", effect("GRANT_STARTED", 0, f" {JANUARY + DAY} ", f" {JANUARY} ")),
    Row(Rule.GRANTS, " began too early, or with other than its amount", effect("GRANT_STARTED", 0, "/5:300/", "/5:299/")),
    Row(Rule.GRANTS, " lapsed, which still live", effect("RELEASE", 0, "/3:20/3:20/", "/3:20/2:20/")),
    Row(Rule.GRANTS, ", which had ", effect("DEBIT", 6, " 2:703,5:277/", " 2:704,5:276/")),
    Row(Rule.GRANTS, " is told to be ", effect("DEBIT", 1, " 4s:25/", " 4:25/")),
    Row(Rule.GRANTS, " is told to be ", effect("DEBIT", 3, " 2:200/", " 2s:200/")),
    Row(Rule.GRANTS, " or has expired", effect("DEBIT", 3, " 2:200/", " 5:200/")),
    Row(Rule.GRANTS, " or has expired", effect("DEBIT", 3, " 2:200/", " 3:200/")),
    Row(Rule.GRANTS, " or has expired", effect("DEBIT", 2, " 3:70/3:70,", " 3:71/3:70,")),
    Row(Rule.GRANTS, ", which is not for such a request", entry("DEBIT", 1, dimensions="{}")),
    Row(Rule.GRANTS, ", which is not for such a request", entry("DEBIT", 1, model="a/c")),
    Row(Rule.GRANTS, " expired, which still lives", effect("GRANT_EXPIRED", 1, " 3:20/", " 2:20/")),
    Row(Rule.GRANTS, " nanos did not expire with the rest", effect("GRANT_EXPIRED", 2, " 10:15/", " 10:14/")),
    Row(Rule.GRANTS, " held: not used up", effect("GRANT_EXHAUSTED", 0, " 2:0/", " 5:0/")),
    Row(Rule.GRANTS, " held: not used up", effect("GRANT_EXHAUSTED", 1, " 5:0/", " 3:0/")),
    Row(Rule.GRANTS, " were left, ", effect("GRANT_VOIDED", 1, " 10 0 - - - - 0 11:10/", " 9 0 - - - - 0 11:9/")),
    Row(Rule.GRANTS, " paid debt, which it is not to", effect("DEBT_PAID", 0, " 13:107/", " 4:107/")),
    Row(Rule.GRANTS, " is not known", effect("DEBIT", 3, " 2:200/", " 99:200/")),
    Row(Rule.GRANTS, " is not known", effect("RELEASE", 0, "/3:20/", "/98:20/")),
    Row(Rule.GRANTS, ": grants and overage have ", effect("DEBIT", 3, " 2:200/", " 2:199/")),
    Row(Rule.GRANTS, ", and did not", gone("DEBT_PAID")),
    Row(Rule.GRANTS, " was used up, and no entry says so", gone("GRANT_EXHAUSTED", 1)),
    Row(Rule.GRANTS, " was to begin before", gone("GRANT_STARTED")),
    Row(Rule.GRANTS, " nanos were to expire before", gone("GRANT_EXPIRED", 1)),
    Row(Rule.GRANTS, NOT_KEPT, _grant(13, left_nanos=1)),
    Row(Rule.GRANTS, NOT_KEPT, _grant(13, held_nanos=1)),
    Row(Rule.GRANTS, NOT_KEPT, _grant(2, spent_nanos=1)),
    Row(Rule.GRANTS, NOT_KEPT, _grant(3, expired_nanos=1)),
    Row(Rule.GRANTS, NOT_KEPT, _grant(11, voided_nanos=1)),
    Row(Rule.GRANTS, NOT_KEPT, _grant(3, state="LIVE")),
    Row(Rule.GRANTS, NOT_KEPT, _grant(3, amount_nanos=1)),
    Row(Rule.GRANTS, NOT_KEPT, _grant(3, expires_at_ms=None)),
    Row(Rule.GRANTS, NOT_KEPT, row("grants", None, account_id="acme", number=6)),
]  # fmt: skip
