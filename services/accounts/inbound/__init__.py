"""What reaches accounts: the management API, its wire models, and who is calling."""
