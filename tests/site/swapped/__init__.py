"""An app of a host that swapped DOT's client model for its own."""
