"""A real Chromium against the example site and its upstream, each a process of its own."""
