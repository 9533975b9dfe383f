"""The routes: thin, one module a resource. Imported by the app alone."""
