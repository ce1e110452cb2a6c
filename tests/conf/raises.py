"""A host's module that cannot be imported."""

raise RuntimeError("canary")
