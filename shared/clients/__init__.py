"""Typed async clients of the services, one a module, over one httpx.AsyncClient each."""
