"""The model service's paths, one module a resource. Imported by the app."""
