"""What does a request cost at a site that has grown?"""
