"""Usage: the books.

An envelope of settled requests comes from the stream REQUESTS (inbound/request_listener), is taken apart (domain/envelopes) and
booked (use_cases/record_requests): raw rows, aggregates, ledger and receipts in one transaction; only then is it acknowledged. After
the commit the gateways hear where the project stands (publish_quota) and, every second, up to which number their events are safe
(publish_watermarks). A gateway that asks for budget (inbound/listeners) is answered from the same books under the lock of the
scope (answer_grants). Reports are read over HTTP (inbound/reports). What counts no more goes by itself (keep_house).
"""
