"""What a person does to their account while they are signed in."""
