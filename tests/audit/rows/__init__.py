"""Books broken on purpose, one rule a row."""

from audit.rows import grants, invoices, limits, plain
from audit.rows.breaking import Row

PLAIN: list[Row] = [*plain.ROWS, *invoices.PLAIN_ROWS]
CREDITS: list[Row] = [*grants.ROWS, *limits.ROWS, *invoices.CREDIT_ROWS]
