"""A client acts for a person with a token that somebody else got."""
