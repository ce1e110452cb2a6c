"""Fresh upstream tokens: renewed when they expire, and swapped into requests."""
