"""Where legacy rows come from: one module for each kind of earlier deployment."""
