"""What two or more of the gateway and the services import: wire models, clients, HTTP ground, owners, settings."""
