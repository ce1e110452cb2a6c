"""Private or undocumented API of other packages that the product uses, and the ground that it shares with DOT.

One test per use. A test here fails when an installed version changes what the product relies on.
"""
