"""Page furniture of scraped pages: counters, forms, wallets, QR-code bait, copyright lines, advertisements.

Three ways to tell it from content. A line that no author writes into a note (`成就一亿技术人!`) is furniture wherever
it stands. A run of short lines is furniture as a whole where known phrases dominate it, whatever stands between them.
A paragraph is an advertisement where calls to the reader (`扫码领取`, `后台回复`) come thick with bait. Words alone
decide nothing: a note about red packets or comment counts says them in sentences, and one among other words is no run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# What only the page says: CSDN, Zhihu, Juejin, Jianshu, cnblogs, WeChat, English pages. Matched against whole lines.
_SURE_LINES = (
    # CSDN: red packets, wallet, feedback form, counters
    r"请填写红包祝福语或标题",
    r"红包个数最小为\d+个",
    r"红包金额最低\d+元",
    r"当前余额[\d.]+元?\s*前往充值\s*>?",
    r"需支付[:：]\s*[\d.]+元?",
    r"成就一亿技术人[!！]?",
    r"领取后你会自动成为博主和红包主的粉丝\s*(?:规则)?",
    r"余额是钱包充值的虚拟货币.*抵扣.*",
    r"余额无法直接购买下载.*",
    r"觉得还不错[?？]\s*一键收藏",
    r"[“\"]相关推荐[”\"]对你有帮助[么吗][?？]?",
    r"非常没帮助",
    r"点击重新获取",
    r"使用余额支付",
    r"钱包余额\s*[\d.]+",
    r"打赏作者|你的鼓励将是我创作的最大动力",
    r"CSDN[-－]?(?:VIP|专业|首页).{0,12}|开通CSDN.{0,10}|最低0\.\d+元/天\s*解锁文章.*",
    r"(?:版权声明[:：]?\s*)?本文为.{0,20}(?:博主|作者).{0,10}原创(?:文章)?.{0,120}",
    r"(?:本文链接|原文链接|本文地址|文章链接|转载链接)[:：]\s*\S*",
    r"版权声明[:：].{0,160}",
    # Zhihu, Juejin, Jianshu, cnblogs, WeChat
    r"[▲△]?\s*赞同\s*[\d,.]*\s*(?:[▼▽]\s*)?(?:添加评论|\d+\s*条评论).*",
    r"(?:发布|编辑|更新)于\s*\d{4}[-年/.].{0,40}",
    r"著作权归(?:作者|原作者)所有.{0,60}|商业转载请联系.{0,40}",
    r"(?:未经.{0,12})?转载请(?:注明|联系|保留).{0,60}|未经.{0,10}(?:许可|允许|授权).{0,8}(?:不得|禁止|严禁)转载.{0,20}",
    r"微信扫一扫(?:[,，]?(?:关注|分享|使用小程序|即可|赞赏作者).{0,20})?|预览时标签不可点|继续滑动看下一个|轻触阅读原文|向上滑动看下一个|收录于(?:合集|话题).{0,30}",
    r"长按.{0,8}(?:识别|扫描).{0,24}|长按.{0,6}二维码.{0,24}",
    r"posted\s*@\s*\d{4}.*|(?:«|<<)\s*上一篇.*|(?:»|>>)\s*下一篇.*",
    r"(?:好文要顶|关注我\s+收藏该文.*|刷新评论\s*刷新页面.*|登录后才能查看或发表评论.*|发表评论\s*升级成为.*)",
    r"©\s*著作权归作者所有.*|小礼物走一走，来简书关注我",
    r".{0,20}(?:京|沪|粤|浙|苏|川|渝|鄂|湘|闽)(?:ICP|公网安)[备证].{0,40}",
    # English pages
    r"(?:copyright\s*)?©\s*(?:copyright\s*)?\d{4}.{0,120}|copyright\s+(?:\(c\)\s*)?\d{4}.{0,120}",
    r".{0,80}all rights reserved\.?.{0,40}",
    r"(?:we|this (?:site|website)) uses? cookies.{0,240}",
    r"accept (?:all )?cookies|cookie (?:settings|policy|preferences)",
    r"subscribe to (?:our|my|the) newsletter.{0,80}|sign up for (?:our|my|the) newsletter.{0,80}",
    r"(?:share|tweet) (?:this|on) (?:post|article|twitter|facebook|linkedin|x|reddit|whatsapp).{0,40}",
    r"skip to (?:main )?content|leave a (?:comment|reply)|log in to (?:comment|reply).{0,20}",
    r"your email address will not be published.{0,60}",
)

# Buttons, counters and labels that are furniture only in company.
_DEED = "(?:点赞|收藏|评论|分享|转发|在看|关注|推荐|举报|喜欢|阅读|编辑)"
_COUNT = r"(?:\s*[(（:：]?\s*[\d.,]+\s*[kKwW万]?\s*[)）]?)?"
_LIKELY_LINES = (
    rf"(?:{_DEED}|赞|踩|打赏|回复|已关注|私信|赞同|反对|阅读数|浏览|人气|点赞数|评论数){_COUNT}",
    rf"{_DEED}(?:\s*[\d.]*\s*[|·/、\s]\s*{_DEED}\s*[\d.]*)+",
    r"[\d.,]+\s*[kKwW万]?",
    r"[\d.,]+\s*[kKwW万]?\s*(?:次|人|条|个)?(?:点赞|收藏|评论|分享|转发|阅读|浏览|赞|赞同|喜欢|人喜欢|粉丝|关注|回答)",
    r"添加红包|发出的红包|实付|扫码支付|抵扣说明[:：]?|余额充值|红包|支付|充值|前往充值|规则",
    r"没帮助|一般|有帮助|非常有帮助|提交|取消|确定|确认|发送|发布|展开|收起|查看更多|加载更多|更多|返回顶部|回到顶部",
    r"全部评论|最新|最热|暂无评论|登录|注册|登录/注册|立即登录|登录\s*注册|首页|客服|反馈|关于我们|联系我们|招贤纳士",
    r"商务合作|隐私政策|用户协议|下载APP|打开APP|APP内打开|上一篇[:：]?.{0,60}|下一篇[:：]?.{0,60}|阅读原文|相关推荐",
    r"相关文章|热门文章|最新文章|猜你喜欢|文章目录|专栏目录|目录|标签[:：]?|分类专栏[:：]?|分类[:：]?.{0,12}",
    r"(?:评论|写评论|发表评论|添加评论|说点什么|写下你的评论|优质评论可以获得|请发表有价值的评论).{0,12}",
    rf"(?:likes?|shares?|comments?|follow|save|reply|report|log ?in|sign ?(?:in|up)|register|subscribe|submit){_COUNT}",
    r"cancel|menu|search|home|about|contact(?: us)?|privacy policy|terms(?: of (?:service|use))?|next|previous",
    r"help|related (?:posts|articles)|you may also like|(?:read|load|show) more|share this|newsletter|careers",
    r"\d+\s*(?:comments?|likes?|shares?|views?|min read|claps?|followers?)",
)

_SURE = re.compile(f"^(?:{'|'.join(_SURE_LINES)})$", re.IGNORECASE)
_LIKELY = re.compile(f"^(?:{'|'.join(_LIKELY_LINES)})$", re.IGNORECASE)

# A call to the reader to do something about the page or its author.
_CALL = re.compile(
    r"扫码(?:免费)?(?:领取|添加|加|获取|关注|进群|入群|咨询)|长按识别|扫描.{0,4}下方.{0,6}二维码"
    r"|(?:下方|上方|下面|底部|左侧|文末).{0,6}(?:扫码|二维码|卡片|名片|链接)"
    r"|(?:拉|翻|滑|见|在)(?:到|至)?文末|文末.{0,8}(?:领取|获取|福利|自取|有|扫码)"
    r"|(?:给|为)大家(?:整|准备|整理|分享|带来)了|关注(?:我|公众号|本号|一下我|微信公众号|作者|博主)"
    r"|(?:后台|评论区|私信).{0,2}回复(?![功接机率消])|私信(?:我|领取)|(?:一键|素质)三连"
    r"|(?:记得|别忘了|帮忙|欢迎|请|求|给个|来个|点个|麻烦|动动).{0,8}(?:点赞|点个赞|收藏|三连|关注|转发|在看|支持一下)"
    r"|免费(?:领取|领|获取|分享给|赠送|送)|加我(?:微信|vx|VX|V)?|加V|V我|(?:添加|加)(?:小助手|老师|客服|作者)?微信"
    r"|加群|进群|加入.{0,6}(?:交流群|学习群|微信群)|(?:有需要|感兴趣)的(?:小伙伴|朋友|同学|可以)"
    r"|(?:限时|立即|马上)(?:报名|抢购|优惠|领取)|点击(?:下方|上方|文末|左下角|卡片).{0,14}"
)
_BAIT = tuple(
    re.compile(pattern)
    for pattern in (
        r"二维码|扫码|名片",
        r"免费|0元|白嫖|🆓|福利|原价|优惠",
        r"领取|自取|赠送",
        r"资料|学习路线|礼包|宝典|合集|干货|大全|全套|一套|完整版|电子书|笔记|秘籍|PDF|题库",
        r"跳槽|升职|加薪|涨薪|大厂|[Oo]ffer|转行|求职|面试|职业困境|内推",
        r"小伙伴|朋友们|网友|粉丝|老铁|宝子|同学们|家人们",
        r"公众号|微信|VX|vx|交流群|加群|加V|知识星球|B站|视频号",
        r"文末|下方|评论区|主页|置顶|拉到",
        r"课程|训练营|报名|学员|讲师|直播|公开课",
        r"点赞|点个赞|收藏|转发|在看|三连|关注|支持一下",
        r"对[你您]有(?:所)?帮助|觉得(?:不错|有用|有帮助|还可以)|(?:创作|码字|整理|原创|更新)不易|[你您]的支持",
        r"😝|🎁|👇|🔥|⬇️|📚|💰|[!！]{3,}",
    )
)
# Who acts where a text describes a payment, a service or a data set, and does not talk to its reader.
_NARRATED = re.compile(r"用户|商家|系统|服务器|服务端|接口|客户端|字段|订单|数据集|样本|论文|实验|指标")
_SENTENCE = re.compile(r"[。！？；.!?;](?:[”\"’'）)]*)$")
_MARKS = re.compile(r"^(?:[ \t]*(?:>|[-*+•·●]|\d{1,3}[.)、])[ \t]*)+(?=\S)")
_AD_LABEL = re.compile(r"分享|福利|资料|领取|合集|最后|结语|写在最后|学习路线|宝典")
_SHORT = 32
_ODD_LINES = 3
_NUMBER = re.compile(r"^[\d.,kKwW万\s]+$")
_HALF, _MOST = 0.5, 0.75
_TWO_SURE, _WORDS_WITH_SURE, _WORDS_ALONE = 2, 3, 4
_LEAST_BAIT, _LEAST_SCORE, _CHARACTERS_PER_POINT = 2, 3, 40


def furniture_lines(lines: Sequence[str]) -> frozenset[int]:
    """Return the indices (from 0) of the lines that are page furniture; blank lines among them are not named.

    ``lines`` are a note's lines without front matter; lines that must stay, such as code, are given as ``"```"``.
    """
    texts = [_bare(line) for line in lines]
    sure = {number for number, text in enumerate(texts) if _SURE.match(text)}
    runs = {number for run in _short_runs(texts, sure) for number in _dominated(run, texts, sure)}
    adverts = {number for number, text in enumerate(texts) if _is_advert(text)}
    return frozenset(sure | runs | adverts | _advert_labels(texts, adverts))


def _bare(line: str) -> str:
    """Return the line without list and quote marks and emphasis; headings keep their mark, so that they end a run."""
    return _MARKS.sub("", line).strip(" \t*_")


def _short_runs(texts: Sequence[str], sure: set[int]) -> list[list[int]]:
    """Maximal runs of short lines without the marks of Markdown or of a sentence; blank lines do not end a run."""
    runs: list[list[int]] = [[]]
    for number, text in enumerate(texts):
        if not text:
            continue
        if number in sure or (
            len(text) <= _SHORT and not text.startswith(("#", "|", "```", "$")) and not _SENTENCE.search(text)
        ):
            runs[-1].append(number)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _dominated(run: Sequence[int], texts: Sequence[str], sure: set[int]) -> list[int]:
    """Return the part of a run in which known phrases dominate, cut so that it starts and ends with one.

    Groups are known phrases with at most three others between them. A group is furniture if half of it is known and
    it has two sure phrases, or one and two likely ones; without a sure one, four likely phrases that are not only
    numbers must be most of it.
    """
    known = [number for number in run if number in sure or _LIKELY.match(texts[number])]
    chosen: list[int] = []
    for group in _groups(known, run):
        members = [number for number in run if group[0] <= number <= group[-1]]
        share = len(group) / len(members)
        certain = sum(number in sure for number in group)
        words = sum(not _NUMBER.match(texts[number]) for number in group)
        by_sure = share >= _HALF and (certain >= _TWO_SURE or (certain and words >= _WORDS_WITH_SURE))
        by_likely = share >= _MOST and words >= _WORDS_ALONE and _has_counter(group, texts)
        if by_sure or by_likely:
            chosen += members
    return chosen


def _groups(known: Sequence[int], run: Sequence[int]) -> list[list[int]]:
    place = {number: index for index, number in enumerate(run)}
    groups: list[list[int]] = []
    for number in known:
        if groups and place[number] - place[groups[-1][-1]] <= _ODD_LINES + 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups


def _has_counter(group: Sequence[int], texts: Sequence[str]) -> bool:
    """Counters or a log-in among the phrases: a list of topics (`评论`, `点赞`, `分享`, `收藏`) has neither."""
    return any(re.search(r"^\d|\d$|登录|注册|sign|log ?in|举报", texts[number], re.IGNORECASE) for number in group)


def _is_advert(text: str) -> bool:
    """Tell a paragraph with calls to the reader and bait of several kinds, one or the other every forty characters."""
    if text.startswith(("#", "|", "```")):
        return False
    calls = len({match.group()[:4] for match in _CALL.finditer(text)})
    bait = sum(bool(pattern.search(text)) for pattern in _BAIT)
    if not calls or bait < _LEAST_BAIT:
        return False
    described = 2 * len(set(_NARRATED.findall(text)))
    return calls + bait >= max(_LEAST_SCORE, len(text) / _CHARACTERS_PER_POINT) + described


def _advert_labels(texts: Sequence[str], adverts: set[int]) -> set[int]:
    """Short lines right above an advertisement that announce it."""
    labels: set[int] = set()
    below = -1
    for number in range(len(texts) - 1, -1, -1):
        if not texts[number]:
            continue
        short = len(texts[number]) <= _SHORT and not _SENTENCE.search(texts[number])
        if below in adverts and short and _AD_LABEL.search(texts[number]):
            labels.add(number)
        below = number
    return labels
