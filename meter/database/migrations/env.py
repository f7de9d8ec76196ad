"""Run by Alembic for each command; the connection and its transaction are those of
meter/database/migrate.py.
"""

from alembic import context

from meter.database.notifications_schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
