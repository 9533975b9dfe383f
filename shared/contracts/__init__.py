"""The wire: pydantic models, one module an API. Imports only pydantic, so that any client can use it."""
