"""What reaches usage: envelopes, asks for budget, presence, and readers of reports."""
