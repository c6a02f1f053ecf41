"""What the supervisor tells a person instead of a traceback."""


class Refused(Exception):
    """It cannot be done; the message is a sentence that says why and how to mend it."""
