"""The nearest known word, for "did you mean" beside everything that is refused as unknown."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` most likely was meant to be, if any comes near."""
    import difflib  # noqa: PLC0415 - only an error needs it

    by_lower = {name.lower(): name for name in known}
    # `lower`, so that `URL` finds `url`; difflib alone counts every letter as wrong.
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A remedy for an unknown word: the nearest known one, or else all of them."""
    names = sorted(known)
    near = nearest(word, names)
    if near is not None:
        return f"did you mean {near}?"
    return f"known are {', '.join(names)}" if names else "remove it: nothing can stand here"
