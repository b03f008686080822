"""
Alembic's entry: runs the revisions over a connection, and in a transaction, that `migrate.py` opened.
"""

from __future__ import annotations

from alembic import context

from fengchao_sql.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
