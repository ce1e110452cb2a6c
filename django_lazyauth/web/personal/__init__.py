"""What the forms of the account page ask before they end something, what they say afterwards, and a person's data."""
