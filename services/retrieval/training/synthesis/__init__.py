"""Training pairs written by a language model about owners' passages; how it is reached is not known here."""
