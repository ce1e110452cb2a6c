"""Who may be a client, and is it this one?"""
