"""Everyday questions in each language, from which the mean token vector of a question is taken.

A multilingual encoder puts into every token vector a share that says only "this is a question" and "this is
English"; subtracting the mean over such questions takes it out, so that an English question meets a Chinese
passage by what it asks (language centring after Libovicky, Rosa & Fraser, "On the Language Neutrality of
Pre-trained Multilingual Representations", Findings of EMNLP 2020). The subjects are mixed on purpose: what
they share is the language, not a topic.
"""

from __future__ import annotations

_CHINESE = """
什么是光合作用？
为什么天空是蓝色的？
怎么才能提高学习效率？
这两种方法有什么区别？
请介绍一下操作系统的进程调度。
数据库索引为什么能加快查询？
发烧的时候应该注意什么？
如何训练一个神经网络？
参数太多会带来什么问题？
这个公式里的系数表示什么？
哪些因素会影响实验结果？
合同里的违约金一般怎么算？
牛顿第二定律的内容是什么？
有哪些常见的排序算法？
模型过拟合了该怎么办？
为什么要对数据做归一化？
唐朝的都城在哪里？
地震是怎么产生的？
写论文时怎样引用别人的文章？
内存和硬盘有什么不同？
怎么判断一个数是不是质数？
他在第二章里提出了哪三个观点？
训练时间大概需要多久？
这种药的主要副作用有哪些？
通货膨胀对普通人有什么影响？
如何用一句话说明这个定理？
怎么把文件从服务器上下载下来？
网络延迟高一般是什么原因？
向量之间的距离怎么计算？
优点和缺点分别是什么？
谁发明了电话？
为什么这一步不能省略？
评价指标应该选哪一个？
怎样避免重复计算？
该方法最早是哪一年提出的？
输入太长的时候怎么处理？
学习率设得太大会怎样？
水的沸点和海拔有什么关系？
作者用什么数据做的实验？
缓存失效以后会发生什么？
细胞膜由什么组成？
多个线程同时写同一个变量会怎样？
搜索引擎是如何给网页排序的？
怎么安排一周的复习计划？
面试的时候怎么介绍自己的项目？
这段代码的时间复杂度是多少？
损失函数 定义 作用
并发 锁 死锁 条件
"""

_ENGLISH = """
What is photosynthesis?
Why is the sky blue?
How can I study more efficiently?
What is the difference between these two methods?
Explain how an operating system schedules processes.
Why does a database index speed up queries?
What should you watch out for when you have a fever?
How do you train a neural network?
What goes wrong when there are too many parameters?
What does the coefficient in this formula stand for?
Which factors influence the result of the experiment?
How is the penalty in a contract usually calculated?
What does Newton's second law say?
Which sorting algorithms are commonly used?
What can be done when the model overfits?
Why do we normalise the data first?
Where was the capital of the Tang dynasty?
How do earthquakes happen?
How should a paper cite the work of others?
How does memory differ from a hard disk?
How do I check whether a number is prime?
Which three points does he make in the second chapter?
Roughly how long does training take?
What are the main side effects of this drug?
How does inflation affect ordinary people?
How would you state the theorem in one sentence?
How do I download a file from the server?
What usually causes high network latency?
How is the distance between two vectors computed?
What are the advantages and the drawbacks?
Who invented the telephone?
Why can this step not be skipped?
Which evaluation metric should be chosen?
How can repeated computation be avoided?
In which year was the method first proposed?
What happens to an input that is too long?
What if the learning rate is set too high?
How does the boiling point of water depend on altitude?
Which data did the authors use in their experiments?
What happens after a cache entry expires?
What is the cell membrane made of?
What happens when several threads write the same variable?
How does a search engine rank web pages?
How do I plan a week of revision?
How should I present my project in an interview?
What is the time complexity of this code?
loss function definition purpose
concurrency lock deadlock conditions
"""

CALIBRATION_QUESTIONS: dict[str, tuple[str, ...]] = {
    "zh": tuple(_CHINESE.strip().splitlines()),
    "en": tuple(_ENGLISH.strip().splitlines()),
}
"""Language code to questions; the languages that the notes are asked in."""
