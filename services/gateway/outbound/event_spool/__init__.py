"""The local write-ahead spool: what a gateway owes the ledger is on its own disk before the upstream is called.

A process owns a slot (`spool/<slot>/`, under a lock) and writes `<slot>/<boot>/<number>.seg`. A request appends a `start`, before each
further attempt an `attempt`, and an `end`; ends are numbered densely and travel. A segment is deleted once usage has committed every
end in it and no start in it is open. Whoever finds the folder of a boot that died turns its dangling starts into `aborted` ends,
charged at their holds, and closes it.
"""
