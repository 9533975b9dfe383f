"""The gateway's paths, a file a resource: what goes in, what comes out, what can go wrong, and one call."""
