"""Science: two lessons of the weather unit, read a thermometer and follow a day's temperature."""

from __future__ import annotations

from appliance.demo.figures.nature import (
    thermometer,
    two_thermometers,
    weather_symbols,
    week_of_temperatures,
)
from appliance.demo.lessons import Lesson, Question, Slide, Step

_AUTHOR = "马立新"
_HOURS = ("8时", "10时", "12时", "14时", "16时", "18时")
_DAY = (9, 14, 17, 18, 15, 11)

SCIENCE: tuple[Lesson, ...] = (
    Lesson(
        weekday=1,
        subject="science",
        edition="教科版",
        unit="天气",
        name="认识气温计",
        number=2,
        author=_AUTHOR,
        summary="观察气温计的构造和刻度，学会正确读、写气温，知道零上和零下温度的区别。",
        keywords=("天气", "气温计", "摄氏度", "温度", "读数"),
        knowledge=("气温计的构造", "气温的读写", "零上与零下"),
        goals=(
            "知道气温计由玻璃管、液柱、刻度和单位组成。",
            "会正确读、写气温，单位是摄氏度（℃）。",
            "读数时视线与液面相平，养成实事求是的态度。",
        ),
        focus="正确读、写气温计上的温度。",
        difficulty="零下温度的读法；视线与液面相平。",
        preparation="每组一支气温计、一杯温水和一杯冷水（注意安全，轻拿轻放）。",
        slides=(
            Slide(
                title="认识气温计",
                lines=("今天多少度？怎样知道？", "主讲：马立新（青禾县城关小学）"),
                figure=thermometer(190, 18),
                speech="同学们好！今天冷不冷？怎样准确地知道气温呢？我们来认识气温计。",
            ),
            Slide(
                title="气温计的构造",
                lines=(
                    "玻璃泡和玻璃管",
                    "会升降的红色液柱",
                    "刻度：这支每小格表示 2 ℃",
                    "单位：℃，读作摄氏度",
                ),
                figure=thermometer(190, 24),
                speech="气温计有玻璃泡、液柱和刻度。天热了，液柱上升；天冷了，液柱下降。",
            ),
            Slide(
                title="怎样读数",
                lines=(
                    "视线与液面相平。",
                    "先找到 0 刻度。",
                    "零上 12 ℃，读作十二摄氏度。",
                    "−6 ℃，读作零下六摄氏度。",
                ),
                figure=two_thermometers(12, -6),
                speech="读数的时候，视线要和液面相平。先找到零，零的上面是零上，下面是零下。",
            ),
            Slide(
                title="读一读，写一写",
                lines=("左边：（　　）℃", "右边：（　　）℃", "相差多少？"),
                figure=thermometer(90, 26, label=False) + thermometer(345, -4, label=False),
                speech="请读出两支气温计的温度，写在任务单上。",
            ),
            Slide(
                title="注意安全",
                lines=("轻拿轻放，不甩、不敲。", "不用手捏玻璃泡。", "打碎了不要用手碰，马上告诉老师。"),
                figure="",
                speech="气温计是玻璃做的，轻拿轻放。打碎了不要用手碰，马上告诉老师。",
            ),
        ),
        steps=(
            Step(name="聚焦", minutes=5, text="说说今天的冷热感受，不同的人感觉一样吗？引出需要用工具测量。"),
            Step(
                name="探索一",
                minutes=10,
                text="观察气温计，画出它的样子，标出液柱、刻度、0 ℃ 和单位，说出每一小格表示几摄氏度。",
            ),
            Step(
                name="探索二",
                minutes=14,
                text="小组读出图片和实物气温计的温度；放入温水、冷水，观察液柱的升降，用“上升”“下降”描述。",
            ),
            Step(name="研讨", minutes=8, text="怎样读数才准确？零下温度怎样读、怎样写？"),
            Step(name="拓展", minutes=3, text="回家在同一地点、早中晚各测一次气温，记录下来，下节课使用。"),
        ),
        tasks=(
            Question(text="画一支气温计，标出液柱、玻璃泡、0 ℃ 和单位。", answer="略。", space=5),
            Question(
                text="读出下面两支气温计的温度：左（　　）℃，右（　　）℃。",
                answer="26 ℃、−4 ℃。",
                figure=thermometer(90, 26, label=False) + thermometer(345, -4, label=False),
                space=0,
            ),
            Question(
                text="把气温计放入温水中，液柱（　　）；放入冷水中，液柱（　　）。",
                answer="上升；下降。",
                space=0,
            ),
        ),
        questions=(
            Question(text="气温常用的单位是（　　　），用符号（　　）表示。", answer="摄氏度，℃。", space=0),
            Question(
                text="零上 8 摄氏度写作（　　）；零下 5 摄氏度写作（　　）。", answer="8 ℃；−5 ℃。", space=0
            ),
            Question(
                text="读一读，写出温度：",
                answer="12 ℃、−6 ℃。",
                figure=thermometer(90, 12, label=False) + thermometer(345, -6, label=False),
                space=0,
            ),
            Question(
                text="小明读气温时蹲在下面往上看，这样对吗？为什么？",
                answer="不对，视线应与液面相平，否则读数不准。",
                space=2,
            ),
        ),
    ),
    Lesson(
        weekday=3,
        subject="science",
        edition="教科版",
        unit="天气",
        name="测量气温",
        number=3,
        author=_AUTHOR,
        summary="学会在背阴通风处测量气温，记录一天的气温并画成柱状图，发现一天中气温的变化规律。",
        keywords=("天气", "气温", "测量", "柱状图", "天气符号"),
        knowledge=("气温的测量方法", "一天中气温的变化"),
        goals=(
            "知道气温是指室外阴凉、通风处的空气温度。",
            "会测量并记录一天中不同时间的气温。",
            "能看懂柱状图，说出一天中气温的变化规律。",
        ),
        focus="正确测量气温并整理数据。",
        difficulty="从柱状图中发现规律。",
        preparation="气温计、记录表、彩笔；昨天测得的气温记录。",
        slides=(
            Slide(
                title="测量气温",
                lines=("一天里，什么时候最热？", "主讲：马立新（青禾县城关小学）"),
                figure=week_of_temperatures(_DAY, _HOURS),
                speech="同学们好！一天里什么时候最热？什么时候最凉？我们用数据来说话。",
            ),
            Slide(
                title="在哪里测",
                lines=(
                    "室外、背阴、通风的地方。",
                    "离地面大约 1.5 米。",
                    "每次都在同一个地点。",
                    "等液柱不动了再读数。",
                ),
                figure=thermometer(190, 14),
                speech="测气温要选室外背阴通风的地方，离地一米半左右，等液柱不动了再读数。",
            ),
            Slide(
                title="记录天气",
                lines=("写上日期和时间。", "记下气温。", "画上天气符号。"),
                figure=weather_symbols(),
                speech="除了气温，还要记录天气。用这些符号，又快又清楚。",
            ),
            Slide(
                title="一天的气温",
                lines=("最高：14 时，18 ℃", "最低：8 时，9 ℃", "早晚低，午后高。"),
                figure=week_of_temperatures(_DAY, _HOURS),
                speech="把一天的气温画成柱状图。早晨和傍晚低，下午两点左右最高。",
            ),
            Slide(
                title="小小气象员",
                lines=("连续测量一周，", "每天同一时间、同一地点，", "做一份我们的天气日历。"),
                figure="",
                speech="从今天起，我们来当小小气象员，连续记录一周，做一份天气日历。",
            ),
        ),
        steps=(
            Step(
                name="聚焦",
                minutes=5,
                text="汇报昨天测得的气温，为什么同一时间大家测得不一样？引出统一测量方法。",
            ),
            Step(
                name="探索一", minutes=12, text="讨论测量地点、高度、时间；到教室外背阴处实测，小组核对数据。"
            ),
            Step(name="探索二", minutes=12, text="把一天 6 次气温画成柱状图，找出最高、最低，描述变化。"),
            Step(name="研讨", minutes=8, text="一天的气温有什么规律？阴天也这样吗？怎样知道？"),
            Step(name="拓展", minutes=3, text="布置一周天气日历的记录任务，分好值日。"),
        ),
        tasks=(
            Question(
                text="在教室外三个地方（太阳下、屋檐下、教室里）测气温，比一比，哪里适合测气温？",
                answer="屋檐下背阴通风处。",
                space=2,
            ),
            Question(
                text="把你测得的一天气温记在横线上：8 时（　）10 时（　）12 时（　）14 时（　）16 时（　）18 时（　）。",
                answer="按实测。",
                space=0,
            ),
            Question(text="用天气符号画出今天的天气。", answer="按实际。", figure=weather_symbols(), space=2),
        ),
        questions=(
            Question(text="测量气温应选择室外（　　　）、（　　　）的地方。", answer="背阴、通风。", space=0),
            Question(
                text="看柱状图回答：这天最高气温是（　）时的（　）℃，最低气温是（　）时的（　）℃，相差（　）℃。",
                answer="14 时的 18 ℃；8 时的 9 ℃；相差 9 ℃。",
                figure=week_of_temperatures(_DAY, _HOURS),
                space=0,
            ),
            Question(
                text="一天中，气温一般是怎样变化的？",
                answer="早晨低，逐渐升高，午后 2 时左右最高，以后逐渐降低。",
                space=2,
            ),
            Question(
                text="为什么每天要在同一时间、同一地点测量？", answer="这样得到的数据才能比较。", space=2
            ),
        ),
    ),
)
