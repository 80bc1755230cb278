"""Characters that PDF copies and web pages leave behind: radicals, compatibility forms, invisible ones, stray spaces.

Everything here works on one line of prose; code and mathematics are kept out of it by `ingest.regions`.
"""

from __future__ import annotations

import re
import unicodedata

HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U000323af"
"""Chinese characters, for use inside a regular expression's character class."""

CJK_PUNCTUATION = (
    "\u3001\u3002\u3008-\u3011\u3014-\u301b\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f\u201c\u201d\u2018\u2019"
)

# CJK Radicals Supplement that NFKC leaves as they are, and the ideograph each stands for:
# Unicode Character Database, EquivalentUnifiedIdeograph.txt, U+2E81-2EF2.
_RADICALS = (
    "⺁⺂⺃⺄⺅⺆⺇⺈⺉⺊⺋⺌⺍⺎⺏⺐⺑⺒⺓⺔⺕⺖⺗⺘⺙⺛⺜⺝⺞⺠⺡⺢⺣⺤⺥⺦⺧⺨⺩⺪⺫⺬⺭⺮⺯⺰⺱⺲⺳⺴⺵⺶⺷⺸⺹⺺⺻⺼"
    "⺽⺾⺿⻀⻁⻂⻃⻄⻅⻆⻇⻈⻉⻊⻋⻌⻍⻎⻏⻐⻑⻒⻓⻔⻕⻖⻗⻘⻙⻚⻛⻜⻝⻞⻟⻠⻡⻢⻣⻤⻥⻦⻧⻨⻩⻪⻫⻬⻭⻮⻯⻰⻱⻲"
)
_IDEOGRAPHS = (
    "厂乛乚乙亻冂𠘨刀刂卜㔾小小兀尣尢𡯂巳幺彑彐忄心扌攵旡日月歺民氵氺灬爫爫丬牛犭王𤴔目示礻𥫗糹纟罓罒㓁冗𦉫羊𦍌𦍋耂肀聿肉"
    "𦥑艹艹艹虎衤覀西见角𧢲讠贝𧾷车辶辶辶邑钅長镸长门𨸏阝雨青韦页风飞食𩙿飠饣𩠐马骨鬼鱼鸟卤麦黄黾斉齐歯齿竜龙龜亀"
)
_RADICAL_TABLE = str.maketrans(_RADICALS, _IDEOGRAPHS)

# A space of any width becomes a plain one; line and page separators must not make new lines.
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\x0b\x0c\x1c-\x1f\x85]")
_WIDE_INDENT = re.compile(
    r"^([ \t]*)[\u00a0\u2000-\u200a\u202f\u205f\u3000][\u00a0\u2000-\u200a\u202f\u205f\u3000 \t]*"
)
_INVISIBLE = re.compile("[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\r]")
_PRIVATE_USE = re.compile("[\ue000-\uf8ff\U00100000-\U0010fffd]")
# Word's bullets, kept by its symbol fonts in the private use area; only at the head of a line are they surely bullets.
_SYMBOL_BULLET = re.compile(r"^([ \t>]*)[\uf06c\uf06e\uf075\uf076\uf0a7\uf0b7\uf0d8\uf0fc](?=\s*\S)")

# Where NFKC changes only the look of a character: Kangxi radicals, compatibility ideographs, ligatures of Latin
# letters, mathematical letters, full-width letters and digits. Full-width punctuation is Chinese punctuation and stays.
_COMPATIBLE = re.compile(
    "[\u2e9f\u2ef3\u2f00-\u2fd5\uf900-\ufaff\U0002f800-\U0002fa1f\ufb00-\ufb06\U0001d400-\U0001d7ff"
    "\uff10-\uff19\uff21-\uff3a\uff41-\uff5a％＋／＝＠＆]"
)

_HAN_SPACE_HAN = re.compile(f"(?<=[{HAN}]) +(?=[{HAN}])")
_SPACE_AT_PUNCTUATION = re.compile(
    r"(?<=[，。；：！？、）】》」』（【《「『]) +(?=\S)|(?<=\S) +(?=[，。；：！？、）】》」』])"
)
# Where a formula or a link is gone from between two words its space is all that is left of it: to close the gap would
# make another sentence. Such a line betrays itself by words that cannot follow one another.
_SOMETHING_LOST = re.compile(
    r"其中 +(?:是|为|表示|代表)|(?:为|成|有|取|是) +(?:个|维|层|其中)|的 +(?:值|个|维)|(?:使用|建议|记|设)(?:为|作) +"
    r"|(?:(?<![饱共总之求温缓调中柔])和|(?<![参赠给授])与|(?<![普涉顾提波危])及) *[。，；]"
)
_SPACES_RUN = re.compile(" {2,}")

_DOUBLED_PUNCTUATION = re.compile("(?<!。)。。(?!。)|，，+|；；+|、、+|：：+")
_LETTER_AFTER_STOP = re.compile("(?<=[。！？])[A-Za-z]$")
_ECHO_AFTER_STOP = re.compile(f"([{HAN}])([。！？])\\1\\2$")


def tidy_characters(line: str) -> str:
    """Replace radicals and compatibility forms, drop invisible characters, turn every kind of space into a plain one.

    ``line`` has no line feed in it; neither has the result any other character that `str.splitlines` takes for one.
    """
    line = _SYMBOL_BULLET.sub(r"\1• ", line)
    line = _WIDE_INDENT.sub(r"\1", line)  # the indent of a Chinese paragraph; as plain spaces it would make it code
    line = _PRIVATE_USE.sub("", _CONTROL.sub("", _INVISIBLE.sub("", _SPACES.sub(" ", line))))
    line = line.translate(_RADICAL_TABLE)
    line = _COMPATIBLE.sub(lambda match: unicodedata.normalize("NFKC", match.group()), line)
    return unicodedata.normalize("NFC", line)


def tidy_spacing(body: str) -> str:
    """Take out spaces inside Chinese words and beside Chinese punctuation; between Chinese and Latin one stays.

    ``body`` is a line without its indentation and list marker.
    """
    body = _SPACES_RUN.sub(" ", body.strip(" \t"))
    if _SOMETHING_LOST.search(body):
        return body
    body = _SPACE_AT_PUNCTUATION.sub("", body)
    return _HAN_SPACE_HAN.sub("", body)


def tidy_punctuation(body: str) -> str:
    """Undo doubled marks and the stray letter or echoed character that editing leaves after the last full stop."""
    body = _DOUBLED_PUNCTUATION.sub(lambda match: match.group()[0], body)
    body = _LETTER_AFTER_STOP.sub("", body)
    return _ECHO_AFTER_STOP.sub(r"\1\2", body)
