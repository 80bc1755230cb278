"""The configured language model asks what a passage of the notes answers, so that the passage is found through it.

What a model writes is data that has to be fit (question_checks.py): a question that is adrift would lead to the wrong
chunk, so fewer are better than bad ones.
"""

from __future__ import annotations

from collections.abc import Callable

from index.errors import ConfigInvalid
from index.fingerprints import digest
from index.tokenizer import Tokenizer
from ingest.questions import QuestionWriter
from service.answering.config import NO_MODEL
from service.answering.generator import LanguageModel
from service.answering.prompts import passage_questions_prompt
from service.question_checks import plain_question, question_fault
from service.settings import Settings

_VERSION = 1  # of prompt and checks
_MAX_TOKENS = 48  # of a question
_LONGEST_PASSAGE = 4_000  # characters that are shown: more than prose ever has, not than a long block of code


def question_writer(settings: Settings, open_model: Callable[[], LanguageModel | None]) -> QuestionWriter | None:
    """Who writes questions with these settings, None where none are wanted or could be compared.

    ``open_model`` is called when the first passage is asked about. Raises ConfigInvalid where no model is configured.
    """
    questions = settings.ingest.questions
    if not (questions.enabled and settings.index.late.enabled):
        return None
    if settings.answering.model == NO_MODEL:
        raise ConfigInvalid(
            "ingest.questions.enabled: a language model writes the questions, and answering.model is 'none'.",
            hint="Name a language model in answering.model, or set ingest.questions.enabled = false.",
        )
    return ModelQuestionWriter(settings.answering.model, open_model, number=questions.number)


class ModelQuestionWriter:
    """A QuestionWriter on a language model: up to ``number`` questions a passage, greedily, in the passage's language.

    The model is named by its name in the config, so that its weights need not be there to compare fingerprints.
    """

    def __init__(self, name: str, open_model: Callable[[], LanguageModel | None], *, number: int) -> None:
        self._open_model = open_model
        self._model: LanguageModel | None = None
        self._number = number
        self._tokenizer = Tokenizer()
        self._fingerprint = digest({"version": _VERSION, "model": name, "number": number})

    @property
    def fingerprint(self) -> str:
        """Changes with model, number, prompt and checks."""
        return self._fingerprint

    def write(self, passage: str, language: str) -> list[str]:
        """Write the questions of one passage, those that are fit; raises GenerationFailed and what opening raises."""
        shown = passage[:_LONGEST_PASSAGE]
        prompt = passage_questions_prompt(shown, language, self._number)
        pieces = self._opened().write(prompt, max_new_tokens=_MAX_TOKENS * self._number, stop=lambda: False)
        titles = passage.partition("\n")[0].split(" > ")  # index/passages.py puts the heading path there
        fit: list[str] = []
        for question in map(plain_question, "".join(pieces).splitlines()):
            if len(fit) < self._number and not question_fault(
                question, shown, titles, fit, self._tokenizer, language=language
            ):
                fit.append(question)
        return fit

    def _opened(self) -> LanguageModel:
        self._model = self._model or self._open_model()
        if self._model is None:
            raise ConfigInvalid(
                "Questions about the notes are wanted, and no language model could be opened.",
                hint="Name one in answering.model, or set ingest.questions.enabled = false.",
            )
        return self._model
