"""Why a command did not do what it was asked: it was refused, or it was no command."""


class Refused(Exception):
    """The message is a sentence for whoever typed the command: what is wrong, and what to do about it."""


class WrongUsage(Exception):
    """The command line is none; the message says what is wrong with it."""
