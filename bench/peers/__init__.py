"""The systems under test: each file builds one's configuration, starts it and says where it answers and which processes it is."""
