"""The tracing service's engine against brute force."""
