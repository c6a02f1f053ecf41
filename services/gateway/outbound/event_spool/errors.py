"""What can go wrong when a record is appended."""


class SpoolFull(Exception):
    """The record is not in the spool: the disk or the allowance is full. Nothing of it is left behind."""
