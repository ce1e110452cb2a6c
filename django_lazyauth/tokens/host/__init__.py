"""What does the host's own code say about a token?"""
