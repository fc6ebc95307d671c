"""What code hosts send on a push: GitHub, GitLab, Bitbucket Cloud and Bitbucket Server. Messages and names, no content."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from service.decode.strings import first, texts
from service.records import Event, Origin

NAMES: Final = ("github", "gitlab", "bitbucket", "bitbucket-server")


def recognise(document: dict[str, Any]) -> str | None:
    """The envelope's name if the document is one of this family."""
    if document.get("object_kind") in ("push", "tag_push"):
        return "gitlab"
    if document.get("eventKey") == "repo:refs_changed":
        return "bitbucket-server"
    if isinstance(document.get("push"), dict) and "repository" in document:
        return "bitbucket"
    if isinstance(document.get("commits"), list) and "repository" in document and "ref" in document:
        return "github"
    return None


def events(document: dict[str, Any], name: str) -> Iterator[Event]:
    """One event, of the newest commit."""
    change: tuple[str | int, ...] = ("push", "changes", 0, "new")
    yield Event(
        Origin(
            type="code",
            envelope=name,
            repository=first(
                document,
                ("repository", "full_name"),
                ("project", "path_with_namespace"),
                ("repository", "slug"),
                ("repository", "name"),
            ),
            ref=first(document, "ref", (*change, "name"), ("changes", 0, "refId")),
            commit=first(
                document, "after", "checkout_sha", (*change, "target", "hash"), ("changes", 0, "toHash"), ("head_commit", "id")
            ),
            url=first(document, ("head_commit", "url"), "compare", ("commits", 0, "url"), ("repository", "html_url")),
            author=first(
                document,
                ("head_commit", "author", "email"),
                ("commits", 0, "author", "email"),
                ("pusher", "email"),
                "user_email",
                ("actor", "display_name"),
                ("actor", "emailAddress"),
            ),
            time=first(
                document, ("head_commit", "timestamp"), ("commits", 0, "timestamp"), (*change, "target", "date"), "date"
            ),
        ),
        list(texts(document)),
    )
