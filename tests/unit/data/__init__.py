"""What `candor data pull` promises."""
