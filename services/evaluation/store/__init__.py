"""Runs, items and events in SQL: `tables` (SQLAlchemy), `migrations` (Alembic), `database`, `reading`, `runs`.

`runs.Store` is all of reading, and every change. SQLite and PostgreSQL alike. Every call blocks: callers in an event
loop use a thread. Imported by the service, its jobs and their work.
"""
