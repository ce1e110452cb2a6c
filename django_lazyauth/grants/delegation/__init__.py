"""A client acts for a person with a token that another client, or another issuer, got."""
