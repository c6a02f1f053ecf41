"""The command line `codexflow`: what an operator does daily, over the REST APIs."""
