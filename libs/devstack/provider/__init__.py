"""The simulated model provider: an OpenAI-compatible server that answers deterministically, fails on demand and keeps the truth.

A call enters at `app.py`, which reads it, checks the key and the model, asks `faults.py` whether it should go wrong, and
opens a row in `ledger.py`. `prompts.py` counts what came in, `answers.py` composes what goes out, and `chat.py`,
`completions.py` and `embeddings.py` write it in their dialect, whole or through `event_stream.py`. The row says how many tokens
were generated, sent and reported, whatever happened to the connection: tests compare the product's books with it.
"""
