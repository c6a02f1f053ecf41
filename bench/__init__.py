"""The benchmark behind `make bench`: our gateway with everything on, and its peers, in front of the same mock upstream.

`run` starts the mock upstream and every system, warms them up, drives them in interleaved rounds with a compiled load
generator that checks each answer, and hands the numbers to `report`. Systems live in `peers/`, one file each; what a
number means is in `rounds` (pure) and in README.md.
"""
