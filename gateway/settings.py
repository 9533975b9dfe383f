"""What the gateway is told by its environment, `CANDOR_GATEWAY_*`."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.pipeline.thinking import ThinkingFamily
from shared.settings import candor_home


class GatewaySettings(BaseSettings):
    """Where the services, the owners' registry and the database are.

    `database_url` is SQLite's or PostgreSQL's; empty means `gateway.db` in the data folder. `thinking`: the tags of
    model families that are not known here. `verifier_hosts`: where clients' own verifiers may be called, each `name`
    or `name:port`. `run_code`: whether samples' programs are run against tests, in a sandbox.
    """

    model_config = SettingsConfigDict(env_prefix="CANDOR_GATEWAY_")

    model_url: str = "http://127.0.0.1:8081"
    retrieval_url: str = "http://127.0.0.1:8082"
    tracing_url: str = "http://127.0.0.1:8083"
    evaluation_url: str = "http://127.0.0.1:8084"
    database_url: str = ""
    thinking: list[ThinkingFamily] = []
    verifier_hosts: list[str] = []
    run_code: bool = True

    def database(self) -> str:
        """The database's address, as it was given or as it is by default."""
        return self.database_url or f"sqlite:///{candor_home() / 'gateway.db'}"
