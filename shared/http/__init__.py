"""The HTTP ground under the gateway and every service: app factory, errors, request ids, health, metrics, events."""
