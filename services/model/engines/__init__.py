"""Engines that compute for the model service. They know nothing of HTTP; only the model service imports them."""
