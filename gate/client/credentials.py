"""The token by which a client makes itself known."""

from pathlib import Path

from gate.token_text import check_token

Metadata = tuple[tuple[str, str], ...]


class Credentials:
    """Holds a client's token, given as it is or kept in a file.

    Raises ValueError for two tokens, or for a text that is no token, and OSError if the file cannot
    be read.
    """

    def __init__(self, token: str, token_file: str | Path) -> None:
        if token and token_file:
            raise ValueError("give either token or token_file, not both")
        self._file = token_file
        self._token = token
        if token_file:
            self._token = self._read()
        if self._token:
            check_token(self._token)

    @property
    def metadata(self) -> Metadata:
        """Returns what each call sends along; nothing without a token."""
        if not self._token:
            return ()
        return (("authorization", f"Bearer {self._token}"),)

    def renew(self) -> bool:
        """Reads the file again; returns whether there is another token now than before."""
        if not self._file:
            return False
        token = check_token(self._read())
        is_new = token != self._token
        self._token = token
        return is_new

    def _read(self) -> str:
        return Path(self._file).read_text().strip()
