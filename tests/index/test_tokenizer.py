"""Which terms a text gives, so that a question meets the note that answers it."""

import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index import tokenizer as tokenizer_module
from index.tokenizer import Tokenizer, stem

TOKENIZER = Tokenizer()


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("self-attention", ["selfattention", "self", "attention"]),
        ("batch_size", ["batchsiz", "batch", "size"]),
        ("GPT-4", ["gpt-4", "gpt4", "gpt"]),
        ("GPT4", ["gpt4", "gpt"]),
        ("PagedAttention", ["pagedattention", "page", "attention"]),
        ("vLLM", ["vllm", "llm"]),
        ("LLMs", ["llm"]),
        ("RoPE", ["rope"]),
        ("d_k", ["d_k", "dk"]),
        ("d_{model}", ["d_model", "dmodel", "model"]),
        ("k1", ["k1"]),
        ("bge-small-zh-v1.5", ["bge-small-zh-v1.5", "bgesmallzhv1.5", "bge", "small", "zh", "v1.5"]),
        ("4096", ["4096"]),
        ("4,096", ["4096"]),
        ("1,234,567.5", ["1234567.5"]),
        ("0.85", ["0.85"]),
        ("2024-01-15", ["2024-01-15", "2024", "01", "15"]),
        ("C++", ["c++"]),
        ("C#", ["c#"]),
        (".NET", [".net", "net"]),
        ("Node.js", ["node.js", "node", "js"]),
        ("Adam's", ["adam"]),
        (r"$\frac{\alpha}{\sqrt{d_k}}$", ["alpha", "sqrt", "d_k", "dk"]),
        ("naïve", ["naïve"]),
        ("Ünïcode", ["ünïcode"]),
    ],
)
def test_names_and_words_give_their_spellings(text: str, terms: list[str]) -> None:
    assert TOKENIZER.terms(text) == terms


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("self-attention", "SelfAttention"),
        ("self-attention", "selfattention"),
        ("PagedAttention", "paged attention"),
        ("GPT-4", "gpt4"),
        ("LangChain", "langchain"),
        ("fine-tuning", "finetune"),
        ("TF-IDF", "tfidf"),
        ("BiLSTM", "LSTM"),
        ("d_k", "dk"),
        ("注意力機制", "注意力"),
        ("自注意⼒", "注意力"),
        ("ＢＥＲＴ模型", "bert"),
        ("𠀀𠀁", "𠀁"),
    ],
)
def test_spellings_of_one_thing_share_a_term(one: str, other: str) -> None:
    assert set(TOKENIZER.terms(one)) & set(TOKENIZER.terms(other))


def test_a_long_chinese_word_gives_the_words_inside_it() -> None:
    assert set(TOKENIZER.terms("中华人民共和国")) >= {"中华", "人民", "共和国", "中华人民共和国"}


def test_a_name_in_no_dictionary_is_found_by_its_bigrams_in_any_surroundings() -> None:
    name = "璟珩"
    assert name in TOKENIZER.terms(name)
    assert name in TOKENIZER.terms(f"我们发布了{name}大模型")
    assert name in TOKENIZER.terms(f"{name}是什么")


def test_known_words_give_no_bigrams_across_their_border() -> None:
    assert TOKENIZER.terms("翻译质量") == ["翻译", "质量"]


def test_function_words_are_dropped() -> None:
    assert TOKENIZER.terms("梯度和损失的关系是什么？") == ["梯度", "损失", "关系"]
    assert TOKENIZER.terms("What is the loss of a model?") == ["loss", "model"]


@pytest.mark.parametrize("question", ["这是什么？", "what is it", "为什么", "的"])
def test_a_question_of_function_words_only_keeps_them(question: str) -> None:
    assert TOKENIZER.terms(question)


def test_negation_is_no_function_word() -> None:
    assert "不" in TOKENIZER.terms("为什么模型不收敛")
    assert "not" in TOKENIZER.terms("does not converge")


@pytest.mark.parametrize("text", ["", " \n\t", "，。！？", "---", "$$ {} \\\\", "\ud800", "\u200b"])
def test_text_without_letters_or_digits_has_no_terms(text: str) -> None:
    assert TOKENIZER.terms(text) == []


def test_repetitions_are_kept_because_they_are_counted() -> None:
    assert TOKENIZER.terms("loss, loss") == ["loss", "loss"]


@pytest.mark.parametrize(
    "words",
    [
        ["encode", "encodes", "encoded", "encoding"],
        ["tune", "tunes", "tuned", "tuning"],
        ["embed", "embeds", "embedded", "embedding", "embeddings"],
        ["cache", "caches", "cached", "caching"],
        ["query", "queries"],
        ["box", "boxes"],
        ["class", "classes"],
        ["bias", "biases", "biased"],
        ["control", "controlled", "controls"],
        ["generate", "generated", "generating"],
        ["sample", "sampled", "sampling", "samples"],
        ["train", "trained", "training", "trains"],
    ],
)
def test_inflections_of_a_word_share_a_stem(words: list[str]) -> None:
    assert len({stem(word) for word in words}) == 1


@pytest.mark.parametrize(
    "word", ["string", "this", "loss", "analysis", "corpus", "speed", "used", "k1", "注意", "naïve"]
)
def test_what_is_no_inflection_stays(word: str) -> None:
    assert stem(word) == word


@pytest.mark.parametrize(
    ("one", "other"), [("note", "not"), ("care", "car"), ("string", "str"), ("general", "generate")]
)
def test_different_words_keep_different_stems(one: str, other: str) -> None:
    assert stem(one) != stem(other)


@given(st.text(max_size=200))
def test_any_text_gives_terms_without_spaces_the_same_each_time(text: str) -> None:
    terms = TOKENIZER.terms(text)
    assert terms == Tokenizer().terms(text)
    assert all(term and not any(character.isspace() for character in term) for term in terms)


@given(st.text(min_size=1, max_size=60))
def test_no_text_with_a_letter_is_left_without_terms(text: str) -> None:
    letters = [character for character in text if character.isascii() and character.isalnum()]
    assert not letters or TOKENIZER.terms(" ".join(letters))


@pytest.mark.parametrize("attack", ["a-" * 100_000, "_{" * 100_000, "," * 200_000, "1,111" * 40_000, "aA" * 100_000])
def test_hostile_text_ends_without_inflating(attack: str) -> None:
    assert sum(map(len, TOKENIZER.terms(attack))) <= 4 * len(attack)


def test_encoded_data_gives_one_term_not_hundreds() -> None:
    assert len(TOKENIZER.terms("aB3" * 100)) == 1


def test_threads_get_what_one_thread_gets() -> None:
    texts = [f"第{i}章：自注意力机制与 PagedAttention-{i} 的璟珩模型" for i in range(200)]
    expected = [TOKENIZER.terms(text) for text in texts]
    results: list[list[list[str]]] = []
    threads = [
        threading.Thread(target=lambda: results.append([Tokenizer().terms(text) for text in texts])) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4


def test_the_fingerprint_is_the_same_in_another_process() -> None:
    code = "from index.tokenizer import Tokenizer; print(Tokenizer().fingerprint)"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}
    )
    assert other.stdout.strip() == TOKENIZER.fingerprint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOKENIZER_VERSION", 10_000),
        ("NORMALISER_VERSION", "another"),
        ("_STOP_WORDS", frozenset({"的"})),
        ("_DICTIONARY_PROBE", "另一段文字"),
        ("version", lambda _: "0.0.0"),
    ],
)
def test_the_fingerprint_changes_with_whatever_changes_terms(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    monkeypatch.setattr(tokenizer_module, name, value)
    assert Tokenizer().fingerprint != TOKENIZER.fingerprint
