"""The pages of a person whose device asked: where they type its code, what they see of it, and where they end."""
