"""What accounts does, one file each; a use case spans one transaction and authorizes the caller inside it."""
