"""The servers that tests run against: containers when an engine and the images are at hand, else embedded ones."""
