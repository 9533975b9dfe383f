"""What the gateway is told by its environment, `CANDOR_GATEWAY_*`."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.settings import candor_home


class GatewaySettings(BaseSettings):
    """Where the services, the owners' registry and the database are.

    `database_url` is SQLite's or PostgreSQL's; empty means `gateway.db` in the data folder.
    """

    model_config = SettingsConfigDict(env_prefix="CANDOR_GATEWAY_")

    model_url: str = "http://127.0.0.1:8081"
    retrieval_url: str = "http://127.0.0.1:8082"
    tracing_url: str = "http://127.0.0.1:8083"
    evaluation_url: str = "http://127.0.0.1:8084"
    database_url: str = ""

    def database(self) -> str:
        """The database's address, as it was given or as it is by default."""
        return self.database_url or f"sqlite:///{candor_home() / 'gateway.db'}"
