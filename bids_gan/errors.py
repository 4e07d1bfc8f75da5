"""Errors that a user can act on, each with the exit code that the command line returns."""


class BidsGanError(Exception):
    """Base of all expected failures; ``exit_code`` is what the process returns."""

    exit_code = 70


class ProcessingError(BidsGanError):
    """Processing failed for at least one person; the others are finished."""

    exit_code = 1


class TrainingError(BidsGanError):
    """Training cannot go on: a loss or a gradient is not finite."""

    exit_code = 1


class UsageError(BidsGanError):
    """The command line or the settings file asks for something that does not exist."""

    exit_code = 2


class DataError(BidsGanError):
    """The input cannot be processed: the message names file, key and remedy."""

    exit_code = 65


class ModelError(BidsGanError):
    """A generator is missing, altered or unsuited to the request."""

    exit_code = 69


class ResourceError(BidsGanError):
    """Memory or the compute device did not suffice."""

    exit_code = 75
