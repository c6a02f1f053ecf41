"""Rules and small parts, without a socket."""
