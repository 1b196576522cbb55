"""What a user can cause, and can mend."""


class UserError(Exception):
    """Something a user can mend: the message says what was found, what was expected and what to do.

    The stages and the command line print it and exit with 1, without a traceback.
    """
