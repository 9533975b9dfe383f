"""The retrieval service's routes: what goes in, what comes out, what can go wrong. Imported by `app` alone."""
