"""Accounts: who may use the gateway, with what, and how much.

The path of a request: `inbound/` resolves the bearer token to an Identity and reads a strict body; the use case opens one
transaction, authorizes the identity against the memberships in the database, changes rows and writes the new directory records
into the outbox, all in that transaction. The commit wakes the one relay (use_cases/relay_directory), which puts the records into
the DIRECTORY bucket, newer versions only. The route then waits a moment for the gateways' presence messages to say that they
have applied the change, and answers on how many of them it is effective.
"""
