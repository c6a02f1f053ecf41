"""What is true of organizations, projects, keys and slugs, without clock, network or database."""
