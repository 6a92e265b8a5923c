"""Text of others, made fit for terminals and logs: nothing in it moves the cursor, changes colours or begins a line."""


def printable(text: str) -> str:
    """The text with every character that is not printable written as its escape, such as \\x1b."""
    return text if text.isprintable() else "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
