"""What pages show of a client beyond its own words."""
