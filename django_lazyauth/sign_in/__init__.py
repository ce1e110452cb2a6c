"""Who is this, and how do they become a user? The way to a provider and back, and what is written for it."""
