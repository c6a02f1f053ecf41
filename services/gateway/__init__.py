"""The data plane. The path of one request:

`inbound/hot_path` answers `/v1` below FastAPI: `inbound/caller` finds who is calling in the local directory, the body is read and
checked, and `use_cases/answer_chat` takes over: choose a tier, look into the response cache, take a hold on the project's grants,
write a `start` to the spool, call the upstream (again, or another of the same tier, before the first byte only), relay the answer,
price it, write the `end`. A background task ships the spool to the bus; another keeps the directory; a third asks for grants.
No request waits for the bus or a database; near a limit it may wait for a grant, at most `grant_wait_ms`.
"""
