"""How do earlier deployments move in? No other room imports this one. It registers its own hooks."""
