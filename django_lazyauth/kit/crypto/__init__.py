"""Keys that a site derives for itself, and names for what is used once."""
