"""Asking an index: one request, and what can go wrong with it, said in terms of the index and the project.

Addresses in here hold no credentials: those are the client's (see `kaa.net.auth`), to which `clean_index_url` gives
what a user wrote into the address of an index.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from kaa.errors import KaaError
from kaa.models.channel import split_credentials
from kaa.net.auth import Credentials
from kaa.net.client import BodyTooLarge, Document, HttpClient, HttpStatusError, RedirectRefused
from kaa.net.transport import HostUnreachable, IncompleteBody

NOT_THERE = frozenset({404, 410})
REFUSED = frozenset({401, 403})


class IndexFailure(KaaError):
    """An index could not say what was asked of it; `project` is what it was asked about."""

    conda_name = "CondaHTTPError"

    def __init__(self, message: str, index: str, project: str, hints: tuple[str, ...]) -> None:
        self.index = index
        self.project = project
        super().__init__(message, hints=hints)


class IndexUnreachable(IndexFailure):
    """No whole answer came from the host of an index."""

    def __init__(self, index: str, project: str, cause: HostUnreachable | IncompleteBody, *, kept: bool) -> None:
        self.url = cause.url
        self.host = getattr(cause, "host", "")
        hints = tuple(hint for hint in cause.hints if "channel" not in hint and "--offline" not in hint)
        if kept:
            hints = ("use --offline to work with what was fetched from this index before", *hints)
        message = f"the index {index} cannot be asked about {project}: {cause.message}"
        super().__init__(message, index, project, hints)


class IndexRefused(IndexFailure):
    """An index wants other credentials than it was given."""

    def __init__(self, index: str, project: str, status: int) -> None:
        self.status = self.status_code = status
        host = urlsplit(index).hostname or index
        reason = "it wants credentials" if status == 401 else "it does not allow it"
        super().__init__(
            f"the index {index} does not tell about {project}: {reason} (status {status})",
            index,
            project,
            (
                f"check user and password for {host}: in the index's address in the configuration of pip or uv, in "
                "pypi_indexes, or in your netrc file",
            ),
        )


class IndexBroken(IndexFailure):
    """The server of an index answers that something is wrong with itself, or sends requests astray."""

    def __init__(self, index: str, project: str, reason: str, status: int = 0) -> None:
        self.status = self.status_code = status
        self.reason = reason
        super().__init__(
            f"the index {index} cannot be asked about {project}: {reason}",
            index,
            project,
            ("run the command again later", "name a mirror of the index in pypi_indexes"),
        )


class AnswerInvalid(IndexFailure):
    """What an index answered is not what was asked for."""

    conda_name = "CondaError"

    def __init__(self, index: str, project: str, url: str, reason: str) -> None:
        self.url = url
        self.reason = reason
        super().__init__(
            f"what the index {index} answers about {project} cannot be used: {reason} ({url})",
            index,
            project,
            (
                "open that address in a browser: a proxy or a login page may answer in the index's place",
                "check that the address of the index is that of a simple API (most end with /simple)",
            ),
        )


class NotKept(IndexFailure):
    """kaa works offline, and what is needed of an index was never fetched."""

    conda_name = "OfflineError"

    def __init__(self, index: str, project: str, what: str) -> None:
        self.what = what
        super().__init__(
            f"{what} of the index {index} is needed, and kaa works offline",
            index,
            project,
            ("run the command once without --offline to fetch it",),
        )


def clean_index_url(url: str, credentials: Credentials) -> str:
    """The address of an index without its login and without a last slash; the client gets the login.

    It is good for the whole host, as with pip and uv: files often lie beside the pages and not below them.
    """
    clean, credential = split_credentials(url)
    if credential is not None:
        credentials.add(clean, credential)
        parts = urlsplit(clean)
        root = f"{parts.scheme}://{parts.netloc}"
        if credential.user is not None and not credential.token and credentials.find(root) is None:
            credentials.add(root, credential)
    return clean.rstrip("/")


def ask(
    client: HttpClient,
    url: str,
    index: str,
    project: str,
    headers: Mapping[str, str],
    *,
    limit: int,
    kept: Callable[[], bool],
) -> Document | None:
    """One answer of an index; None where there is nothing. `kept` tells whether older answers are on this machine.

    Raises an IndexFailure.
    """
    try:
        return client.get(url, headers=headers, limit=limit)
    except HttpStatusError as error:
        if error.status in NOT_THERE:
            return None
        if error.status in REFUSED:
            raise IndexRefused(index, project, error.status) from error
        raise IndexBroken(index, project, error.message, error.status) from error
    except RedirectRefused as error:
        raise IndexBroken(index, project, error.message) from error
    except BodyTooLarge as error:
        raise AnswerInvalid(index, project, url, f"it is larger than {error.limit} bytes") from error
    except (HostUnreachable, IncompleteBody) as error:
        raise IndexUnreachable(index, project, error, kept=kept()) from error
