"""The ledger: durable, exact books in SQLite or PostgreSQL."""
