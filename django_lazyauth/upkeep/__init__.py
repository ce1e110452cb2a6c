"""What must run regularly?"""
