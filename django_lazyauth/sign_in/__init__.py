"""Who is this, and how do they become a user? Sends the person to a provider, takes the answer, writes the user."""
