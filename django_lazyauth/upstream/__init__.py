"""Is what an upstream granted fresh, and who may use it?"""
