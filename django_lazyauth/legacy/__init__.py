"""How do earlier deployments move in? Nothing else imports this room; it hooks in."""
