"""Page tokens: where the next page begins, opaque to callers and bound to the call that made them."""

import base64
import binascii

from engine.service.errors import BadPageToken

FIRST_INDEX = -1
"""Behind nothing: where ListEntries begins."""
TOKEN_CHARACTERS_MAX = 128


def write_token(call: str, cursor: int) -> str:
    """The token of a page that begins at ``cursor``."""
    return base64.urlsafe_b64encode(f"{call}:{cursor}".encode()).decode()


def read_token(call: str, token: str, first: int = 0) -> int:
    """Where the page begins; ``first`` for an empty token.

    Raises:
        BadPageToken: the token was not made by this call.
    """
    if not token:
        return first
    if len(token) > TOKEN_CHARACTERS_MAX:
        raise BadPageToken
    try:
        maker, _, cursor = base64.b64decode(token, altchars=b"-_", validate=True).decode("ascii").partition(":")
        position = int(cursor)
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise BadPageToken from None
    if maker != call or not 0 <= position < 2**63 or cursor != str(position):
        raise BadPageToken
    return position
