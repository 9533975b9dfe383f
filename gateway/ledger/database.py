"""The database: its address for each driver, and the migrations that run at start."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, create_engine, event, make_url
from sqlalchemy.engine import Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

MIGRATIONS = Path(__file__).parent / "migrations"

_ASYNC = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_BLOCKING = {**_ASYNC, "sqlite": "sqlite+pysqlite"}


def connect(address: str) -> AsyncEngine:
    """An engine for the event loop. `address` is any SQLAlchemy URL of SQLite or PostgreSQL."""
    url = _with_driver(address, _ASYNC)
    engine = create_async_engine(url, pool_pre_ping=url.get_backend_name() != "sqlite")
    _prepare(engine.sync_engine)
    return engine


def migrate(address: str) -> None:
    """Bring the database to the newest schema. Blocks; several gateways may start at once."""
    url = _with_driver(address, _BLOCKING)
    if url.get_backend_name() == "sqlite" and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url)
    _prepare(engine)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    try:
        with engine.begin() as connection:
            if url.get_backend_name() == "postgresql":
                # replicas that start together would otherwise both create the tables
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('candor gateway migrations'))")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def _with_driver(address: str, drivers: dict[str, str]) -> URL:
    url = make_url(address)
    backend = url.drivername.split("+")[0]
    if backend not in drivers:
        raise ValueError(f"CANDOR_GATEWAY_DATABASE_URL: {backend!r} is neither sqlite nor postgresql.")
    return url.set(drivername=drivers[backend])


def _prepare(engine: Engine) -> None:
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine, "connect")
    def pragmas(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        # readers must not block the writer, nor a second process the first
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA busy_timeout=10000")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()
