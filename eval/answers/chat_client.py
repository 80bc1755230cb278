"""One request to an OpenAI-compatible server: messages in, the text of the reply out."""

from __future__ import annotations

import http.client
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from index.errors import AsknotesError, ConfigInvalid

_ANSWER_BYTES = 1_000_000
_SHOWN_CHARS = 200
_BAD_REQUEST = 400
_WRONG_SETUP = frozenset({_BAD_REQUEST, 401, 403, 404, 405, 422})


class ChatUnavailable(AsknotesError):
    """The server cannot be reached, or refuses what is sent in a way that will not pass: no request will do better."""

    type = "chat_unavailable"


class ChatFailed(AsknotesError):
    """One request that failed: too slow, refused for the moment, or answered with something that is no reply."""

    type = "chat_failed"


@dataclass(frozen=True, slots=True)
class ChatServer:
    """Where and as whom to ask. ``url`` is the base, such as ``http://127.0.0.1:8000/v1``; the key is never shown."""

    url: str
    model: str
    key: str | None = field(default=None, repr=False)
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise ConfigInvalid(
                f"{self.url!r} is not the address of a server.", hint="Give its base, such as http://127.0.0.1:8000/v1."
            )

    def complete(self, messages: Sequence[Mapping[str, str]], *, max_tokens: int) -> str:
        """Return the reply at temperature 0; raises ChatUnavailable, ChatFailed."""
        body = {"model": self.model, "temperature": 0, "max_tokens": max_tokens, "messages": list(messages)}
        return _reply_text(self._post(json.dumps(body, ensure_ascii=False).encode()), self.url)

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        request = urllib.request.Request(  # noqa: S310 - the constructor allows http and https only
            f"{self.url.rstrip('/')}/chat/completions", data=body, headers=headers, method="POST"
        )
        try:
            with _OPENER.open(request, timeout=self.timeout_s) as reply:
                content: bytes = reply.read(_ANSWER_BYTES + 1)
        except urllib.error.HTTPError as error:
            with error:
                raise self._refused(error) from error
        except TimeoutError as error:
            raise self._too_slow() from error
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError | socket.timeout):
                raise self._too_slow() from error
            raise ChatUnavailable(
                f"{self.url} cannot be reached: {error.reason}", hint="Start the server, or correct its address."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise ChatFailed(f"{self.url} broke off: {error!r}", hint="Look at the server's log.") from error
        if len(content) > _ANSWER_BYTES:
            raise ChatFailed(f"{self.url} sends more than {_ANSWER_BYTES} bytes.", hint="Is it a chat server?")
        return content

    def _refused(self, error: urllib.error.HTTPError) -> AsknotesError:
        said = error.read(_ANSWER_BYTES).decode("utf-8", errors="replace").strip()[:_SHOWN_CHARS]
        message = f"{self.url} answers {error.code}: {said or error.reason}"
        if error.code in _WRONG_SETUP or error.code < _BAD_REQUEST:
            return ChatUnavailable(message, hint="Check the address, the model's name and the key.")
        return ChatFailed(message, hint="Try again later.")

    def _too_slow(self) -> ChatFailed:
        return ChatFailed(f"{self.url} did not answer in {self.timeout_s:g} s.", hint="Give it more time.")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The key goes to the server that was named and to no other."""

    def redirect_request(self, *_: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)


def _reply_text(content: bytes, url: str) -> str:
    try:
        text = json.loads(content)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError) as error:
        raise ChatFailed(
            f"{url} sent what is no chat completion: {content[:_SHOWN_CHARS]!r}", hint="Is it OpenAI-compatible?"
        ) from error
    if not isinstance(text, str):
        raise ChatFailed(f"{url} sent a message without text.", hint="Choose a model that writes text.")
    return text
