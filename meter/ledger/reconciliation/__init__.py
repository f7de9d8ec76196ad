"""Brings an older ledger up to what the store has: a ledger that was restored from a backup.

What happened since the backup is in the store as sums alone. Each account is taken over by entries
that tell the difference: the lost operations, what was granted, expired and used, and at last the
account as the store has it. All of them bear the flag `reconciled`. Nothing is taken over from an
account that would go back.
"""
