"""Why a command did not do what it was asked."""


class Refused(Exception):
    """The message is a sentence for whoever typed the command: what is wrong, and what to do about it."""
