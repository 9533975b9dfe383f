"""Unit tests of the evaluation service."""
