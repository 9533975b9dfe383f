"""The versions, oldest first by file name."""
