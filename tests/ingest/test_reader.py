"""Files to notes: names, encodings, front matter, titles, and a plain reason for everything that is not read."""

from __future__ import annotations

import codecs
import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.errors import NoteRejected, NotesMissing
from ingest.config import ReaderConfig
from ingest.decoding import decode
from ingest.front_matter import read_front_matter
from ingest.reader import ReadResult, SkippedFile, read_notes

SIMPLIFIED = "注意力机制让模型在生成每个词的时候，能够关注输入序列中最相关的部分，这样就不会丢失信息。\n第二行。\n"
TRADITIONAL = "注意力機制讓模型在產生每個詞的時候，能夠關注輸入序列中最相關的部分，這樣就不會遺失資訊。\n第二行。\n"
# Aliases that would unfold to millions of values.
UNFOLDING = "\n".join(["v0: &v0 [x, x]"] + [f"v{n}: &v{n} [{', '.join([f'*v{n - 1}'] * 9)}]" for n in range(1, 8)])


def read(*paths: Path, **settings: object) -> ReadResult:
    return read_notes(list(paths), ReaderConfig.model_validate(settings))


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        file = folder / name.replace("__", "/").replace("_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


def reason_for(tmp_path: Path, data: bytes, name: str = "bad.md", **settings: object) -> str:
    """Why a file with these bytes is skipped, beside a good note."""
    write(tmp_path, good_md="# 好\n正文。")
    (tmp_path / name).write_bytes(data)
    result = read(tmp_path, **settings)
    assert [note.path for note in result.notes] == ["good.md"]
    assert [skipped.path for skipped in result.skipped] == [name]
    return result.skipped[0].reason


# -- which files, by which names -------------------------------------------------------------------------------------


def test_a_folder_is_read_in_sorted_order_without_hidden_and_other_files(tmp_path: Path) -> None:
    write(tmp_path, b_md="乙", a_txt="甲", sub__c_markdown="丙", sub__d_HTML="<p>丁</p>", x_png="图")
    write(tmp_path, **{".obsidian__e_md": "戊"})
    (tmp_path / ".hidden.md").write_text("己", encoding="utf-8")
    result = read(tmp_path)
    assert [note.path for note in result.notes] == ["a.txt", "b.md", "sub/c.markdown", "sub/d.HTML"]
    assert result.skipped == ()


def test_a_file_that_is_named_is_read_by_its_name_or_reported(tmp_path: Path) -> None:
    write(tmp_path, a_md="甲", b_pdf="乙")
    result = read(tmp_path / "a.md", tmp_path / "b.pdf")
    assert [note.path for note in result.notes] == ["a.md"]
    assert result.skipped[0].path == "b.pdf"
    assert "not a note" in result.skipped[0].reason


def test_a_file_given_twice_is_read_once(tmp_path: Path) -> None:
    write(tmp_path, sub__a_md="甲", b_md="乙")
    result = read(tmp_path, tmp_path / "sub", tmp_path / "b.md")
    assert [note.path for note in result.notes] == ["b.md", "sub/a.md"]


def test_notes_of_a_later_folder_never_take_an_earlier_ones_path(tmp_path: Path) -> None:
    write(tmp_path, one__notes__a_md="甲", two__notes__a_md="乙", two__notes__b_md="丙", three__notes__a_md="丁")
    result = read(*(tmp_path / name / "notes" for name in ("one", "two", "three")))
    assert {note.path: note.text for note in result.notes} == {
        "a.md": "甲", "notes/a.md": "乙", "notes/b.md": "丙", "notes-2/a.md": "丁",
    }  # fmt: skip


def test_a_path_that_does_not_exist_is_an_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(NotesMissing, match="does not exist") as caught:
        read(tmp_path / "nowhere")
    assert caught.value.hint


def test_nothing_readable_is_an_error_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"\x00\x01\x02")
    with pytest.raises(NotesMissing, match=r"a\.md: binary"):
        read(tmp_path)


def test_the_hash_is_that_of_the_bytes_and_lines_end_with_line_feeds(tmp_path: Path) -> None:
    data = "一\r\n二\r三\n".encode()
    (tmp_path / "a.md").write_bytes(data)
    note = read(tmp_path).notes[0]
    assert note.text == "一\n二\n三\n"
    assert note.sha256 == hashlib.sha256(data).hexdigest()


# -- what is skipped -------------------------------------------------------------------------------------------------


def test_a_large_file_is_skipped_without_being_read(tmp_path: Path) -> None:
    write(tmp_path, good_md="正文。")
    with (tmp_path / "huge.md").open("wb") as stream:
        stream.truncate(10**12)  # a sparse file: to read it would not end well
    result = read(tmp_path)
    assert [note.path for note in result.notes] == ["good.md"]
    assert "more than the limit" in result.skipped[0].reason


def test_a_file_at_the_limit_is_read(tmp_path: Path) -> None:
    write(tmp_path, a_md="x" * 100)
    assert read(tmp_path, max_bytes=100).notes[0].text == "x" * 100
    with pytest.raises(NotesMissing):
        read(tmp_path, max_bytes=99)


@pytest.mark.parametrize("data", [b"", b" \n\t\n", "\ufeff\u3000\n".encode()])
def test_an_empty_file_is_skipped(tmp_path: Path, data: bytes) -> None:
    assert reason_for(tmp_path, data) == "empty"


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00",
        "前半是文字。\n".encode() * 50 + b"\x00\x9c\xff" * 30,
        b"text\x01\x02\x03\x04\x05" * 20,
        bytes(range(256)) * 8,
    ],
)
def test_binary_and_half_binary_files_are_skipped(tmp_path: Path, data: bytes) -> None:
    assert reason_for(tmp_path, data)


def test_text_that_was_damaged_before_it_was_saved_is_skipped(tmp_path: Path) -> None:
    assert "replacement" in reason_for(tmp_path, ("锟斤拷\ufffd\ufffd" * 20).encode())


def test_utf8_with_a_broken_byte_is_reported_with_its_line_not_guessed(tmp_path: Path) -> None:
    data = SIMPLIFIED.encode() + "第三行".encode()[:-1]
    assert "line 3" in reason_for(tmp_path, data)


def test_links_out_of_the_folder_in_circles_and_to_nowhere_are_skipped(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", diary_md="日记")
    notes = write(tmp_path / "notes", a_md="甲")
    (notes / "circle").symlink_to(notes)
    (notes / "loop.md").symlink_to(notes / "loop.md")
    (notes / "out.md").symlink_to(outside / "diary.md")
    (notes / "outdir").symlink_to(outside)
    for follow in (False, True):
        result = read(notes, follow_symlinks=follow)
        assert [note.path for note in result.notes] == ["a.md"]
        assert {skipped.path: skipped.reason for skipped in result.skipped} == {
            "circle": "a symbolic link in a circle",
            "loop.md": "a symbolic link that leads nowhere or in a circle",
            "out.md": "a symbolic link out of the folder",
            "outdir": "a symbolic link out of the folder",
        }


def test_links_inside_the_folder_are_followed_when_asked_and_read_once(tmp_path: Path) -> None:
    write(tmp_path, z__b_md="乙")
    (tmp_path / "a").symlink_to(tmp_path / "z")
    assert read(tmp_path).skipped == (SkippedFile("a", "a symbolic link (reader.follow_symlinks is off)"),)
    assert [note.path for note in read(tmp_path, follow_symlinks=True).notes] == ["a/b.md"]


def test_folders_linked_into_each_other_end(tmp_path: Path) -> None:
    write(tmp_path, a__x_md="甲", b__y_md="乙")
    (tmp_path / "a" / "b").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "a").symlink_to(tmp_path / "a")
    assert {note.text for note in read(tmp_path, follow_symlinks=True).notes} == {"甲", "乙"}


def test_what_is_no_regular_file_is_skipped_and_not_waited_for(tmp_path: Path) -> None:
    write(tmp_path, good_md="正文。")
    os.mkfifo(tmp_path / "pipe.md")
    assert read(tmp_path).skipped == (SkippedFile("pipe.md", "not a regular file"),)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_files_and_folders_are_skipped(tmp_path: Path) -> None:
    write(tmp_path, good_md="正文。", bad_md="正文。", closed__c_md="正文。")
    (tmp_path / "bad.md").chmod(0)
    (tmp_path / "closed").chmod(0)
    try:
        assert [skipped.path for skipped in read(tmp_path).skipped] == ["bad.md", "closed"]
    finally:
        (tmp_path / "closed").chmod(0o700)


def test_a_file_that_vanishes_or_cannot_be_opened_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, good_md="正文。", bad_md="正文。")
    opened = Path.open

    def refuse(self: Path, mode: str = "r") -> object:
        if self.name == "bad.md":
            raise PermissionError(13, "Permission denied")
        return opened(self, mode)

    monkeypatch.setattr(Path, "open", refuse)
    assert read(tmp_path).skipped == (SkippedFile("bad.md", "cannot be read: Permission denied"),)


def test_a_name_that_is_not_text_is_skipped(tmp_path: Path) -> None:
    write(tmp_path, good_md="正文。")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.md")).write_text("x", encoding="utf-8")
    skipped = read(tmp_path).skipped[0]
    assert skipped == SkippedFile(r"\udcff.md", "its name is not printable text")


# -- encodings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "data"),
    [
        (SIMPLIFIED, SIMPLIFIED.encode()),
        (SIMPLIFIED, codecs.BOM_UTF8 + SIMPLIFIED.encode()),
        (SIMPLIFIED, SIMPLIFIED.encode("utf-16")),
        (SIMPLIFIED, codecs.BOM_UTF16_BE + SIMPLIFIED.encode("utf-16-be")),
        (SIMPLIFIED, SIMPLIFIED.encode("utf-32")),
        (SIMPLIFIED, SIMPLIFIED.encode("utf-16-le")),
        (SIMPLIFIED, SIMPLIFIED.encode("utf-16-be")),
        (SIMPLIFIED, SIMPLIFIED.encode("gb18030")),
        (TRADITIONAL, TRADITIONAL.encode("big5")),
        ("The café in Zürich serves a naïve résumé of attention.\n" * 3, None),
    ],
)
def test_every_usual_encoding_is_told(text: str, data: bytes | None) -> None:
    assert decode(data if data is not None else text.encode("cp1252"), max_control_share=0.005) == text


@settings(max_examples=60, deadline=None)
@given(
    st.text(st.sampled_from(sorted({*SIMPLIFIED, *"梯度下降学习率损失函数abc=1"} - {"\n"})), min_size=12, max_size=80)
)
def test_everyday_chinese_in_an_old_encoding_is_never_read_as_something_else(text: str) -> None:
    try:
        assert decode(text.encode("gb18030"), max_control_share=0.005) == text
    except NoteRejected as rejection:
        assert "encoding" in rejection.message  # noqa: PT017 - to refuse is allowed, to misread is not


# -- front matter ----------------------------------------------------------------------------------------------------


def test_front_matter_gives_title_tags_and_date_and_keeps_the_rest(tmp_path: Path) -> None:
    source = (
        "---\ntitle: 期末 复习\ntags: [笔记, '#考试', [深度, [学习]]]\n"
        "date: 2024-11-16 18:22:06\ntoc: true\nmade: 2024-01-02\n---\n# 另一个\n"
    )
    note = read(write(tmp_path, a_md=source)).notes[0]
    assert (note.title, note.tags, note.date) == ("期末 复习", ("笔记", "考试", "深度", "学习"), "2024-11-16T18:22:06")
    assert note.metadata == {"toc": True, "made": "2024-01-02"}
    assert note.text == source


@pytest.mark.parametrize(
    ("tags", "read_as"),
    [
        ("甲, 乙，丙", ("甲", "乙", "丙")),
        ('"#甲 #乙/丙"', ("甲", "乙/丙")),
        ("\n  - 甲\n  - 2024", ("甲", "2024")),
        ("", ()),
    ],
)
def test_tags_are_read_however_they_are_written(tags: str, read_as: tuple[str, ...]) -> None:
    assert read_front_matter(f"---\ntags: {tags}\n---\n").tags == read_as


@pytest.mark.parametrize(
    ("date", "read_as"),
    [
        ("2024-03-01", "2024-03-01"),
        ("2024/3/1 9:05", "2024-03-01T09:05:00"),
        ("2024年3月1日", "2024-03-01"),
        ("昨天", None),
    ],
)
def test_dates_become_iso_dates(date: str, read_as: str | None) -> None:
    front_matter = read_front_matter(f"---\ndate: {date}\n---\n")
    assert front_matter.date == read_as
    assert ("date" in front_matter.metadata) == (read_as is None)


@pytest.mark.parametrize(
    "inner",
    [
        "title: [甲\ntags: 乙",
        "title: {{title}}\ndate: {{date}}",
        "date: 2024-13-45",
        "a: &a [*a, *a]",
        UNFOLDING,
        "a: " + "[" * 5000,
        "a: !!python/object/apply:os.system [ls]",
    ],
)
def test_a_broken_front_matter_is_noted_and_never_fails(tmp_path: Path, inner: str) -> None:
    note = read(write(tmp_path, a_md=f"---\n{inner}\n---\n正文。")).notes[0]
    assert isinstance(note.metadata["front_matter_error"], str)
    assert set(note.metadata) == {"front_matter_error"}
    assert note.title == "a"


def test_rules_around_prose_and_rules_that_do_not_close_are_no_front_matter() -> None:
    assert read_front_matter("---\n一段正文\n---\n").lines == 0
    assert read_front_matter("---\ntitle: 甲\n正文").lines == 0
    assert read_front_matter("\n---\ntitle: 甲\n---\n").lines == 0


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from("ab: -[]{}&*!#'\"\n|>甲0.~"), max_size=60))
def test_any_front_matter_can_be_written_as_json(inner: str) -> None:
    metadata = dict(read_front_matter(f"---\nk: 1\n{inner}\n---\n").metadata)
    assert json.loads(json.dumps(metadata, allow_nan=False)) == metadata


def test_half_characters_in_front_matter_never_reach_the_index() -> None:
    read = read_front_matter('---\ntitle: "\\ud800甲"\ntags: ["\\udfff"]\nk: {"\\ud800": 1}\n---\n')
    assert read.title == "?甲"
    assert json.dumps([read.tags, dict(read.metadata)], ensure_ascii=False).encode()


# -- titles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("引言。\n\n# **甲** [乙](https://example.org) #\n", "甲 乙"),
        ("甲乙\n====\n正文。", "甲乙"),
        ("机器学习笔记-CSDN博客\n\n正文在此。", "机器学习笔记"),
        ("```\n# 不是标题\n```\n正文。", "stem"),
        ("这一句是正文，不是标题。\n\n第二段。", "stem"),
        ("第一行\n紧跟着第二行", "stem"),
        ("## 只有二级标题\n正文。", "stem"),
        ("- 列表\n\n正文。", "stem"),
    ],
)
def test_a_title_is_found_or_the_files_name_is_taken(tmp_path: Path, text: str, title: str) -> None:
    assert read(write(tmp_path, stem_md=text)).notes[0].title == title


def test_a_pages_title_is_the_pages(tmp_path: Path) -> None:
    assert read(write(tmp_path, a_html="<title>决策树 - 知乎</title><p>正文</p>")).notes[0].title == "决策树"
