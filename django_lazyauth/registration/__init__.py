"""Clients that register themselves: what they may say (``metadata``), and where it is kept (``store``)."""
