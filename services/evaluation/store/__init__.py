"""Runs, items and events in SQL: `tables` (SQLAlchemy), `migrations` (Alembic), `database`, `runs` (the store).

SQLite and PostgreSQL alike. Every call blocks: callers in an event loop use a thread. Imported by service and jobs.
"""
