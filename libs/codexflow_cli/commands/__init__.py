"""One module for each noun: its words, the request they mean, and what of the answer is shown."""
