"""A made-up catalogue of any size for tests and benchmarks of the search: the same records for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator

from catalog.curriculum import GRADES, stage_of_grade
from catalog.resource import Edition, Resource

TOPICS = {
    "math": "分数 小数 面积 周长 角的度量 乘法 除法 长度单位 三角形 平行四边形 方程 百分数 比例 圆的面积 负数 统计图 可能性 时分秒 克和千克 倍的认识 口算乘法 位置与方向 年月日 数学广角 植树问题",
    "chinese": "荷花 燕子 陶罐和铁罐 守株待兔 清明 元日 花钟 蜜蜂 纸的发明 赵州桥 童年的水墨画 剃头大师 海底世界 火烧云 古诗三首 春夜喜雨 桂林山水 草船借箭 少年闰土 落花生",
    "english": "Welcome back to school My family At the zoo Where is my car Do you like pears How many My schoolbag Weather Hobbies Shopping My weekend Last holiday Numbers Colours Animals Friends",
    "science": "植物的一生 水和空气 磁铁 声音的产生 太阳系 昼夜交替 简单电路 种子发芽 蚕的生长 溶解 天气 岩石与土壤 杠杆 光的反射 资源循环 重庆的山水",
    "music": "卖报歌 小星星 茉莉花 让我们荡起双桨 铃儿响叮当 草原上 音阶歌 春天举行音乐会",
    "morals": "学会尊重 法律的作用 我们的班集体 家乡的风俗 网络新世界 资源共享 诚实守信",
    "physics": "长度和时间的测量 运动的快慢 声音的特性 光的折射 凸透镜成像 浮力 压强 欧姆定律 电功率",
    "history": "北京人 秦统一中国 丝绸之路 贞观之治 宋代经济 鸦片战争 辛亥革命 抗日战争",
}
FORMS = (
    "{0}", "{0}", "{0}的认识", "{0}的初步认识", "{0}（第{1}课时）", "{0} 练习课", "认识{0}", "第{1}课 {0}", "《{0}》教学",
    "{0}复习与整理", "{0}的应用", "{0}—{2}", "{0}与{2}", "Unit {1} {0}", "{0}单元测试{1}", "{0} Lesson {1}",
)  # fmt: skip
KINDS = ("video", "courseware", "plan", "tasksheet", "exercise", "audio", "paper", "interactive")
EDITIONS = ("pep", "tongbian", "bnu", "su", "fltrp", "hunan", "raw:校本版")
_CHARACTERS = (
    "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定行学法所民得经"
    "十三之进着等部度家电力里如水化高自二理起小物现实加量都两体制机当使点从业本去把性好应开它合还因由其些然前外天政四日那社义事平形"
    "相全表间样与关各重新线内数正心反你明看原又么利比或但质气第向道命此变条只没结解问意建月公无系军很情者最立代想已通并提直题党程展"
)


def resources(count: int, *, seed: int = 1) -> Iterator[Resource]:
    """Yield `count` records with ids r0, r1, …, in descending quality."""
    dice = random.Random(seed)
    words = ["".join(dice.choices(_CHARACTERS, k=dice.choice((2, 2, 2, 3, 4)))) for _ in range(4000)]
    shares = [1 / (rank + 5) for rank in range(len(words))]
    subjects = list(TOPICS)
    for number in range(count):
        subject = dice.choice(subjects)
        topics = TOPICS[subject].split()
        topic, other = dice.choice(topics), dice.choice(topics)
        grade = dice.choice(list(GRADES)[:9])
        title = dice.choice(FORMS).format(topic, dice.randint(1, 9), other)
        grades = (grade, f"g{int(grade[1:]) + 1}") if dice.random() < 0.05 else (grade,)
        yield Resource(
            id=f"r{number}",
            title=title,
            stage=stage_of_grade(grade),
            subject=subject,
            grades=grades,
            edition=Edition(code=dice.choice(EDITIONS)) if dice.random() < 0.9 else None,
            textbook_year=dice.choice((None, 2013, 2024)),
            volume=dice.choice(("a", "b", None)),
            path=(f"第{dice.choice('一二三四五六七八')}单元 {dice.choice(topics)}", topic),
            kind=dice.choice(KINDS),
            licence="own",
            author="王李张刘陈杨"[number % 6] + dice.choice(words)[:2],
            keywords=tuple(dice.choices(words, shares, k=2)),
            description="".join(dice.choices(words, shares, k=dice.randint(15, 40))) + "。",
            quality=float(1000 - number * 1000 // max(count, 1)),
        )
