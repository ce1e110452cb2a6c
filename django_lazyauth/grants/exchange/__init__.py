"""What every grant of a person does that began with a consent here: write the person, the tokens, the end of it."""
