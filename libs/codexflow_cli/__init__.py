"""The command line `codexflow`: what an operator does daily, over the REST API of accounts.

One command: `app.py` gives it an `Invocation` (settings, credentials, client), a module of `commands/` turns its words into one
or two requests, `client.py` speaks them, `rendering.py` shows the answer. Nothing is decided here that the API decides.
"""
