"""`meter.v1.Accounts`: each change is recorded in the ledger first, then applied to Redis."""
