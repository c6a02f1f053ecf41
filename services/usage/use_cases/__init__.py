"""What usage does, one file each."""
