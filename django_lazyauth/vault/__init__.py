"""Upstream tokens per (session, provider): sealed, found by their binding, used downstream."""
