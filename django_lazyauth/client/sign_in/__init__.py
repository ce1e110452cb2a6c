"""How an account gets into the store: find the server, be a client of it, and ask a person."""
