"""The name of a token in a printed column."""


def token_name(token: str) -> str:
    """Returns the token itself; in quotation marks, as Python writes it,
    where it is white space or cannot be printed."""
    return token if token.isprintable() and token != " " else repr(token)
