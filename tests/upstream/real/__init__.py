"""Providers that other people wrote, unchanged, each as a process of its own. ``make upstreams`` runs them."""
