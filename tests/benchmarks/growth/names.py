"""Names that the settings and the operations share."""

API = "https://api.example"
ASKING_CLIENT = "asks-about-tokens"
