"""The HTTP API for apps, scripts and a host's own DRF views: parse, call one function of a room, render."""
