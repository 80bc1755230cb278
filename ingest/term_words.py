"""Word lists that tell names from what stands around them in notes (term_shapes.py): none names anything itself."""

from __future__ import annotations

from typing import Final

_FUNCTION_WORDS_LIST = "a an the of to in on at by for from with and or as into via per vs than"
_CLAUSE_WORDS_LIST = """
    is are was were be been not no can cannot will would should could may must do does did has have had it its we you
    they i this that these those see like such using use used uses eg ie etc only all if when where which who how
    what why more less most each any same other
"""
_LATIN_ASIDES_LIST = """
    optional default required recommended deprecated todo new old draft wip note yes no true false none null nan ok
    pdf ppt video link easy medium hard train test dev kb mb gb tb ms us kg px fps hz km cm mm bit bits byte bytes token
    tokens flops python java linux windows macos exp log ln max min sin cos tan round mean std sum argmax argmin
"""
_CHINESE_ASIDES_LIST = """
    双向 单向 推荐 可选 默认 重点 必考 原版 旧版 新版 未完 待续 完 略 参考 注意 单线程 多线程 中文 英文 原文
    例子 示例 备注 补充 必选 常用 常见 最常用 不推荐 必填 选填 已解决 未解决 高频 重要 选学 必读 选读 了解 掌握
    下同 同上 如下 见下 见上 上文 下文 官方 论文 作者 答案 提示 待补 待定 暂无 无 有 是 否
"""
_OPERATORS_LIST = """
    利用 使用 采用 应用 运用 引入 借助 借鉴 提出 称为 称作 叫做 叫作 名为 称之为 作为 成为 变成 包括 包含 例如
    比如 譬如 诸如 属于 得到 进行 实现 设置 增加 减少 降低 提高 考虑 需要 可以 能够 没有 不是 就是 一种 一个 一些
    一类 各种 多种 这种 那种 所谓 相当于 等价于 对应 类似 非常 通常 一般 往往 根据 按照 有时 有时候 主要 传统 经典
    著名 典型 流行 有个 换成 改成 存在 出现 加上 等 等等 之类 方面 时候 结合 解决 避免 防止 产生 导致 具有 提供
    执行 完成 理解 手写 当成 当作 看作 视为 算作 基本 每个 所有 其他 另外 常见 常用 目前 现在 最新 安装 配置 介绍
    关于 首先 然后 最后 接着 再用 只用 分别 代表 描述 简述 解释 说明 列举 谈谈 说说 讲讲 聊聊 比较 讨论 什么是
    又名 亦名 又称 也称 亦称 又叫 也叫 别名 俗称 最小化 最大化 如下 如图 如表 参见 详见 见图 见表
"""
_INITIALS_LIST = """
    模型M 网络N 算法A 方法M 机制M 函数F 框架F 误差E 损失L 学习L 优化O 优化器O 编码E 编码C 编码器E 解码D 解码器D
    量化Q 归一化N 标准化N 标准化S 正则化R 注意力A 检索R 检索S 生成G 率R 率A 率P 树T 森林F 分析A 处理P 识别R 嵌入E
    向量V 向量E 策略S 策略P 图G 层L 回归R 分类C 分类器C 聚类C 下降D 单元U 分布D 估计E 任务T 系统S 数据集D 数据D 库L
    平台P 语言L 工具T 技术T 架构A 结构S 索引I 文件F 频率F 增益G 评分S 分数S 距离D 相似度S 采样S 抽样S 搜索S 并行P
    训练T 微调F 微调T 推理I 推理R 缓存C 池化P 反馈F 分解D 变换T 提示P 对齐A 词袋B 词表V 散度D 熵E 梯度G 传播P 接口I
    处理器P 卷积C 偏差B 方差V 矩阵M 空间S 集成E 模块M 适配A 适配器A 评估E 指标M 指标I 服务S 公司C 公司I 大学U 协议P
    引擎E 芯片C 芯片P 问题P 问答A 翻译T 摘要S 程序P 设备D 内存M 显存M 版本V 标准S 格式F 指令I 期望E 规则R 过程P
"""

FUNCTION_WORDS: Final = frozenset(_FUNCTION_WORDS_LIST.split())
"""English words that no name begins or ends with, and that do not count as its words."""

CLAUSE_WORDS: Final = frozenset(_CLAUSE_WORDS_LIST.split())
"""English words that make a clause of what stands in a bracket."""

LATIN_ASIDES: Final = frozenset(_LATIN_ASIDES_LIST.split())
"""Remarks, units and function names that stand in brackets or in front of them."""

CHINESE_ASIDES: Final = frozenset(_CHINESE_ASIDES_LIST.split())
"""Remarks that stand in brackets."""

OPERATORS: Final = frozenset(_OPERATORS_LIST.split())
"""Words that are put before a name, or that a phrase which is no name consists of."""

SINGLE_OPERATORS: Final = frozenset(
    "只打做用对算叫加按每两个把被给从在是有为将让使以于则就也都还再又已会能要更最很太没其该此这那之而且但若如或等即比像跟"
    "看见说指取求设令放拿存补来成出起当我你他她它们种条张某各几位时里走靠含写训换由称名了着地得吗呢吧的与和及共约第任何哪怎么需可应须仅"
)
"""Characters that stand alone between a sentence and a name; others are parts of words that the dictionary lacks."""

INITIALS: Final[dict[str, str]] = {}
"""The last word of a Chinese name -> the initials that it commonly has in English."""
for _entry in _INITIALS_LIST.split():
    INITIALS[_entry[:-1]] = INITIALS.get(_entry[:-1], "") + _entry[-1]

DROPPED_HEADS: Final = frozenset(["机制", "技术", "方法", "过程", "损失"])
"""Last words that English often leaves out: 注意力机制, attention."""
