"""What a question may be, checked in the same way wherever one comes in."""

from __future__ import annotations

from index.errors import QuestionInvalid


def checked_question(question: str, *, max_chars: int) -> str:
    """Return the question without surrounding white space; raise QuestionInvalid for one that cannot be asked."""
    stripped = question.strip()
    if not any(character.isalnum() for character in stripped):
        raise QuestionInvalid("The question is empty.", hint="Ask something in words.")
    if len(stripped) > max_chars:
        raise QuestionInvalid(
            f"The question has {len(stripped)} characters; at most {max_chars} are taken.",
            hint="Ask a shorter question; texts to be searched belong into the notes.",
        )
    if "\0" in stripped or not _encodable(stripped):
        raise QuestionInvalid("The question holds characters that are no text.", hint="Send it as UTF-8 text.")
    return stripped


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
