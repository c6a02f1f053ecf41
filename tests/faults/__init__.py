"""The law, proved by force: real processes die under load, and afterwards every token the provider billed is booked exactly once."""
