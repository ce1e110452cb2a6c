"""May this client ask this, and what did the person say? Requests, pending rows, consent, codes."""
