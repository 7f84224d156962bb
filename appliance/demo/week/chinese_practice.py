"""Chinese, Thursday and Friday: a poem of Li Bai (public domain) and the composition of the unit."""

from __future__ import annotations

from appliance.demo.figures.landscapes import (
    beautiful_place,
    white_emperor,
)
from appliance.demo.lessons import Lesson, Question, Slide, Step

_UNIT = "第六单元 祖国河山"
_AUTHOR = "陈思远"
_TEACHER = "主讲：陈思远（青禾县实验小学）"
_READING = (
    Step(name="导入", minutes=5, text="出示图画，说说看到了怎样的景色；揭题，介绍诗人。"),
    Step(
        name="初读",
        minutes=10,
        text="自由读诗，读准字音；同桌互读，再指名读，注意停顿。复式班可由高年级学生领读。",
    ),
)

CHINESE_PRACTICE: tuple[Lesson, ...] = (
    Lesson(
        weekday=3,
        subject="chinese",
        edition="统编版",
        unit=_UNIT,
        name="语文园地：早发白帝城",
        number=20,
        author=_AUTHOR,
        summary="日积月累：朗读、背诵李白的《早发白帝城》，感受轻舟飞下三峡的快意。",
        keywords=("语文园地", "日积月累", "早发白帝城", "李白", "三峡"),
        knowledge=("古诗积累", "夸张"),
        goals=("熟读成诵。", "大致了解诗意，感受船行之快和诗人的愉快心情。", "积累描写山水的诗句。"),
        focus="熟读成诵。",
        difficulty="体会“一日还”“已过万重山”写出的快。",
        preparation="三峡图片，朗读音频。",
        slides=(
            Slide(
                title="早发白帝城",
                lines=("〔唐〕李白　日积月累", _TEACHER),
                figure=white_emperor(),
                speech="同学们好！清早，李白告别了彩云里的白帝城，坐上了回家的小船。",
            ),
            Slide(
                title="读一读",
                lines=(
                    "　朝辞白帝彩云间，",
                    "　千里江陵一日还。",
                    "　两岸猿声啼不住，",
                    "　轻舟已过万重山。",
                ),
                figure=white_emperor(),
                speech="朝辞白帝彩云间，千里江陵一日还。两岸猿声啼不住，轻舟已过万重山。",
            ),
            Slide(
                title="读准字音",
                lines=("朝：这里读 zhāo，早晨。", "还：这里读 huán，回来。", "重：这里读 chóng，一层一层。"),
                figure="",
                speech="这里的朝，是早晨的意思。还，是回来的意思。重，是一层又一层。",
            ),
            Slide(
                title="多快的船！",
                lines=(
                    "千里——一日：路远，时间短。",
                    "猿声还在耳边，船已过万重山。",
                    "“轻舟”也写出了轻快的心情。",
                ),
                figure=white_emperor(),
                speech="一千里路，一天就到。猿声还在耳边，小船已经过了万重山。心情多么轻快！",
            ),
            Slide(
                title="山水诗会",
                lines=("背一背本单元的四首古诗。", "选一首，配上动作或图画朗诵。"),
                figure=white_emperor(),
                speech="请你选一首喜欢的诗，参加我们班的山水诗会。",
            ),
        ),
        steps=(
            *_READING,
            Step(name="大致理解", minutes=8, text="抓住多音字“朝、还、重”和“千里、一日、万重山”，体会快。"),
            Step(name="熟读成诵", minutes=9, text="拍手读、接龙读，当堂背诵。"),
            Step(name="山水诗会", minutes=8, text="小组朗诵本单元古诗，评“小小朗诵家”。"),
        ),
        tasks=(
            Question(
                text="给加引号的字选读音：“朝”辞（zhāo　cháo）　一日“还”（hái　huán）　万“重”山（zhòng　chóng）",
                answer="zhāo、huán、chóng。",
                space=0,
            ),
            Question(text="背诵本单元四首古诗，请家长或同桌签名。", answer="略。", space=1),
            Question(text="收集一句描写山水的诗，抄下来。", answer="略。", space=2),
        ),
        questions=(
            Question(text="诗中写船行得快的句子是：", answer="千里江陵一日还；轻舟已过万重山。", space=2),
            Question(text="填空：朝辞（　　）彩云间，千里（　　）一日还。", answer="白帝；江陵。", space=0),
            Question(text="从“轻舟”的“轻”字，你体会到诗人怎样的心情？", answer="轻松、愉快。", space=2),
            Question(
                text="默写《早发白帝城》。",
                answer="朝辞白帝彩云间，千里江陵一日还。两岸猿声啼不住，轻舟已过万重山。",
                space=4,
            ),
        ),
    ),
    Lesson(
        weekday=4,
        subject="chinese",
        edition="统编版",
        unit=_UNIT,
        name="习作：这儿真美",
        number=21,
        author=_AUTHOR,
        summary="学习围绕一个意思写一段话，把身边的一处美景介绍给别人。",
        keywords=("习作", "这儿真美", "围绕一个意思写", "观察"),
        knowledge=("围绕一个意思写一段话", "有顺序地观察"),
        goals=(
            "留心观察身边的美景，有顺序地写下来。",
            "学习围绕一个意思写一段话。",
            "写完后自己读一读，改正错别字。",
        ),
        focus="围绕一个意思把景物写清楚。",
        difficulty="用上学过的词语，写出景物的特点。",
        preparation="课前观察家乡的一处景物（小河、果园、校园……），记下看到的、听到的。",
        slides=(
            Slide(
                title="习作：这儿真美",
                lines=("把身边的美景介绍给大家", _TEACHER),
                figure=beautiful_place(),
                speech="同学们好！我们的家乡有许多美丽的地方。今天来写一写：这儿真美。",
            ),
            Slide(
                title="选一处美景",
                lines=("村前的小河、山坡上的果园、", "热闹的场院、我们的校园……", "想一想：它什么地方最美？"),
                figure=beautiful_place(),
                speech="先选一处你最熟悉的地方。想一想，它什么地方最美？",
            ),
            Slide(
                title="围绕一个意思写",
                lines=("先写一句中心句：", "　秋天的小溪边真美！", "后面的句子都说明它为什么美。"),
                figure=beautiful_place(),
                speech="先写一句话说清意思：秋天的小溪边真美。后面的句子，都说它为什么美。",
            ),
            Slide(
                title="按顺序写",
                lines=(
                    "从远到近：远山、树林、小屋、小溪。",
                    "看到的颜色，听到的声音，闻到的气味。",
                    "用上：碧绿、金黄、五颜六色、静悄悄。",
                ),
                figure=beautiful_place(),
                speech="可以从远到近来写。写看到的颜色、听到的声音，还可以用上学过的好词语。",
            ),
            Slide(
                title="读一读，改一改",
                lines=("有没有中心句？", "每句话都围绕它吗？", "有没有错别字？", "读给家人听，他们想去吗？"),
                figure="",
                speech="写完了，大声读一读，改一改，再读给家人听，看他们想不想去。",
            ),
        ),
        steps=(
            Step(name="激趣选材", minutes=6, text="交流课前观察到的家乡美景，说说哪里美。"),
            Step(name="学习方法", minutes=8, text="读例段，找中心句，发现“围绕一个意思写”的方法。"),
            Step(name="列提纲", minutes=6, text="填写习作卡：地点、中心句、三样景物及特点。"),
            Step(name="动笔写作", minutes=14, text="独立写作，教师巡视；复式班安排高年级同学结对互助。"),
            Step(name="评改", minutes=6, text="朗读片段，对照标准互评，修改。"),
        ),
        tasks=(
            Question(text="我要写的地方是（　　　　），它最美的是（　　　　）。", answer="略。", space=0),
            Question(
                text="观察记录：看到的颜色、听到的声音、闻到的气味，各写一个词。", answer="略。", space=2
            ),
            Question(text="写一句中心句，再列出要写的三样景物。", answer="略。", space=4),
        ),
        questions=(
            Question(
                text="读一段话，画出中心句：“秋天的小溪边真美！远处的山坡一片金黄，近处的野花五颜六色。溪水叮叮咚咚，像在唱歌。”",
                answer="中心句：秋天的小溪边真美！",
                space=0,
            ),
            Question(text="围绕“校园的早晨真热闹”，写三句话。", answer="略。", space=4),
            Question(
                text="修改病句：清晨，我听到了鸟叫和花香。",
                answer="清晨，我听到了鸟叫，闻到了花香。",
                space=1,
            ),
            Question(text="完成习作《这儿真美》，200 字左右。", answer="略。", space=8),
        ),
    ),
)
