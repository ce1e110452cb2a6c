"""What does a client get for what it presents? The token endpoint and its grants, and the endpoints about tokens."""
