"""Errors that say what was wrong, what came, and what to do."""


class InputError(ValueError):
    """The user's data or settings cannot be used; the command line prints it and exits with 2."""


class AssumptionError(ValueError):
    """A theorem's hypothesis does not hold, so its number would be meaningless."""


def explain(what: str, *, got: object, do: str = "") -> str:
    """One line: what was wrong, what came, what to do.

    >>> explain("horizon must be positive", got=-1.0, do="pass horizon=1.0")
    'horizon must be positive, got -1.0; pass horizon=1.0'
    """
    return f"{what}, got {got}" + (f"; {do}" if do else "")


def require(condition: bool, what: str, *, got: object, do: str = "") -> None:
    """Raise :class:`InputError` with :func:`explain`'s sentence unless ``condition`` holds."""
    if not condition:
        raise InputError(explain(what, got=got, do=do))
