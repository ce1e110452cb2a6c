"""What our requests to a provider look like, as keys of its entry."""
