"""What is a session, and how does it end?"""
