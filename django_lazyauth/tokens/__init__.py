"""What do our tokens look like, where are they, how do they die?"""
