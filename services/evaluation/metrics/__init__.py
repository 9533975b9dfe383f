"""How one answer is scored against its gold answers. Pure functions; the suites import them."""
