"""Chinese, Monday to Wednesday: the three poems of the unit on rivers and mountains; all in the public domain."""

from __future__ import annotations

from appliance.demo.figures.landscapes import (
    dongting,
    heaven_gate,
    west_lake,
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

CHINESE: tuple[Lesson, ...] = (
    Lesson(
        weekday=0,
        subject="chinese",
        edition="统编版",
        unit=_UNIT,
        name="望天门山",
        number=17,
        author=_AUTHOR,
        summary="朗读、背诵李白的《望天门山》，想象天门中断、碧水东流的壮丽景象。",
        keywords=("古诗三首", "望天门山", "李白", "山水诗", "朗读"),
        knowledge=("古诗朗读", "借助注释理解诗意", "会写字：断、楚、至、孤、帆"),
        goals=(
            "认识“亦、楚”等字，会写“断、楚、至、孤、帆”。",
            "有感情地朗读、背诵课文。",
            "借助注释和图画，说出诗中的景象，感受祖国山河的壮美。",
        ),
        focus="朗读、背诵，理解诗意。",
        difficulty="体会“断、开、流、回、出、来”写出的动感。",
        preparation="课文朗读音频、天门山图片；学生预习，给生字注音。",
        slides=(
            Slide(
                title="望天门山",
                lines=("〔唐〕李白", _TEACHER),
                figure=heaven_gate(),
                speech="同学们好！今天我们跟着诗人李白，坐船去看天门山。",
            ),
            Slide(
                title="读一读",
                lines=(
                    "　天门中断楚江开，",
                    "　碧水东流至此回。",
                    "　两岸青山相对出，",
                    "　孤帆一片日边来。",
                ),
                figure=heaven_gate(),
                speech="天门中断楚江开，碧水东流至此回。两岸青山相对出，孤帆一片日边来。",
            ),
            Slide(
                title="词语解释",
                lines=(
                    "天门山：在今安徽，两山隔江相对，像一道门。",
                    "楚江：长江流经楚地的一段。",
                    "回：水流到这里转弯。",
                    "孤帆：一只小船。",
                ),
                figure="",
                speech="天门山隔江相对，像一道大门。楚江就是长江的一段。回，是说水流到这里转了弯。",
            ),
            Slide(
                title="想象画面",
                lines=(
                    "天门山从中间断开，江水奔流而来。",
                    "碧绿的江水向东流，到这里转了个弯。",
                    "青山迎面而来，一只小船从太阳升起的地方驶来。",
                ),
                figure=heaven_gate(),
                speech="闭上眼睛想一想：青山迎面而来，一只小船，从太阳升起的地方慢慢驶来。",
            ),
            Slide(
                title="背一背",
                lines=("看着图画背诵全诗。", "诗中哪些字写出了“动”？", "断、开、流、回、出、来"),
                figure=heaven_gate(),
                speech="请你看着图画，把这首诗背下来。想一想，哪些字写出了山水的动态？",
            ),
        ),
        steps=(
            *_READING,
            Step(
                name="理解诗意",
                minutes=12,
                text="借助注释说诗句的意思；画出表示动作的字，想象“断、开、流、回、出、来”的画面。",
            ),
            Step(name="朗读背诵", minutes=8, text="配图朗读，师生对读，尝试背诵。"),
            Step(name="写字", minutes=5, text="指导书写“断、楚、帆”，注意左右结构的比例。"),
        ),
        tasks=(
            Question(
                text="听朗读音频，跟读三遍，用“/”画出停顿：天门中断楚江开，碧水东流至此回。",
                answer="天门/中断/楚江开，碧水/东流/至此回。",
                space=0,
            ),
            Question(
                text="在诗中圈出表示动作的字，选一个说说它好在哪里。",
                answer="断、开、流、回、出、来。",
                space=2,
            ),
            Question(text="把你想象的画面画下来，或说给家人听。", answer="略。", space=0),
        ),
        questions=(
            Question(
                text="把诗句补充完整：天门（　　）楚江开，碧水（　　）至此回。",
                answer="中断；东流。",
                space=0,
            ),
            Question(
                text="“两岸青山相对出”中，青山本来不动，诗人为什么说它“出”？",
                answer="诗人坐在行进的船上，看青山好像迎面走出来。",
                space=2,
            ),
            Question(text="“孤帆一片日边来”的意思是：", answer="一只小船从太阳升起的地方驶来。", space=2),
            Question(
                text="默写《望天门山》。",
                answer="天门中断楚江开，碧水东流至此回。两岸青山相对出，孤帆一片日边来。",
                space=4,
            ),
        ),
    ),
    Lesson(
        weekday=1,
        subject="chinese",
        edition="统编版",
        unit=_UNIT,
        name="饮湖上初晴后雨",
        number=17,
        author=_AUTHOR,
        summary="学习苏轼的《饮湖上初晴后雨》，体会西湖晴天、雨天不同的美。",
        keywords=("古诗三首", "饮湖上初晴后雨", "苏轼", "西湖"),
        knowledge=("古诗朗读", "比喻", "会写字：饮、初、镜、未、磨、遥、银、盘"),
        goals=(
            "正确、流利地朗读并背诵古诗。",
            "借助注释理解“潋滟、空蒙、相宜”等词语。",
            "体会诗人把西湖比作西子的妙处。",
        ),
        focus="理解诗意，体会西湖晴雨皆美。",
        difficulty="体会比喻的妙处。",
        preparation="西湖晴、雨图片，课文朗读音频。",
        slides=(
            Slide(
                title="饮湖上初晴后雨",
                lines=("〔宋〕苏轼", _TEACHER),
                figure=west_lake(),
                speech="同学们好！今天我们和苏轼一起游西湖，先晴后雨，真有意思。",
            ),
            Slide(
                title="读一读",
                lines=(
                    "　水光潋滟晴方好，",
                    "　山色空蒙雨亦奇。",
                    "　欲把西湖比西子，",
                    "　淡妆浓抹总相宜。",
                ),
                figure=west_lake(),
                speech="水光潋滟晴方好，山色空蒙雨亦奇。欲把西湖比西子，淡妆浓抹总相宜。",
            ),
            Slide(
                title="词语解释",
                lines=(
                    "潋滟：水波闪动的样子。",
                    "空蒙：云雾迷茫的样子。",
                    "西子：古代美女西施。",
                    "相宜：合适。",
                ),
                figure="",
                speech="潋滟，是水波闪动的样子。空蒙，是云雾迷茫的样子。相宜，就是合适。",
            ),
            Slide(
                title="晴天和雨天",
                lines=(
                    "晴天：阳光下水波闪闪，正好看。",
                    "雨天：山在雨雾里，也很奇妙。",
                    "晴也好，雨也好，都像西施一样美。",
                ),
                figure=west_lake(),
                speech="晴天，阳光下水波闪闪。雨天，群山在雨雾里若隐若现。都美！",
            ),
            Slide(
                title="说一说",
                lines=("你更喜欢晴天还是雨天的家乡？", "用上“……也……”说一句话。"),
                figure=west_lake(),
                speech="你更喜欢晴天还是雨天的家乡？请用自己的话说一说。",
            ),
        ),
        steps=(
            *_READING,
            Step(
                name="理解诗意",
                minutes=12,
                text="分“晴”“雨”两幅画面理解前两句；讨论：诗人为什么把西湖比作西子？",
            ),
            Step(name="朗读背诵", minutes=8, text="男女生分读晴、雨诗句；看图背诵。"),
            Step(name="拓展", minutes=5, text="说说家乡晴天、雨天的景色。"),
        ),
        tasks=(
            Question(text="跟读三遍，读准“潋滟（liàn yàn）”“空蒙（kōng méng）”。", answer="略。", space=0),
            Question(text="照样子写两个词：水光潋滟、山色空蒙。", answer="如：阳光明媚、雨丝飘飘。", space=1),
            Question(text="观察晴天和雨天的同一处景物，各写一句话。", answer="略。", space=3),
        ),
        questions=(
            Question(
                text="“水光潋滟晴方好”写的是（　）天的西湖，“山色空蒙雨亦奇”写的是（　）天的西湖。",
                answer="晴；雨。",
                space=0,
            ),
            Question(
                text="诗人把（　　　）比作（　　　），因为它们都很美。",
                answer="西湖；西子（西施）。",
                space=0,
            ),
            Question(
                text="“总相宜”的“总”字说明了什么？", answer="说明不论晴天还是雨天，西湖都很美。", space=2
            ),
            Question(
                text="默写《饮湖上初晴后雨》。",
                answer="水光潋滟晴方好，山色空蒙雨亦奇。欲把西湖比西子，淡妆浓抹总相宜。",
                space=4,
            ),
        ),
    ),
    Lesson(
        weekday=2,
        subject="chinese",
        edition="统编版",
        unit=_UNIT,
        name="望洞庭",
        number=17,
        author=_AUTHOR,
        summary="学习刘禹锡的《望洞庭》，欣赏秋夜洞庭湖水月相融的宁静之美。",
        keywords=("古诗三首", "望洞庭", "刘禹锡", "洞庭湖", "秋月"),
        knowledge=("古诗朗读", "比喻", "想象画面"),
        goals=(
            "有感情地朗读、背诵古诗。",
            "想象湖光秋月的画面，体会比喻的美。",
            "把本课三首诗放在一起比较，说说喜欢哪一首。",
        ),
        focus="想象画面，背诵古诗。",
        difficulty="理解“两相和”“镜未磨”“青螺”。",
        preparation="洞庭湖月夜图片，课文朗读音频。",
        slides=(
            Slide(
                title="望洞庭",
                lines=("〔唐〕刘禹锡", _TEACHER),
                figure=dongting(),
                speech="同学们好！今晚月色真美，我们去看看刘禹锡笔下的洞庭湖。",
            ),
            Slide(
                title="读一读",
                lines=(
                    "　湖光秋月两相和，",
                    "　潭面无风镜未磨。",
                    "　遥望洞庭山水翠，",
                    "　白银盘里一青螺。",
                ),
                figure=dongting(),
                speech="湖光秋月两相和，潭面无风镜未磨。遥望洞庭山水翠，白银盘里一青螺。",
            ),
            Slide(
                title="词语解释",
                lines=(
                    "和：和谐，水色与月光融在一起。",
                    "镜未磨：像没有磨过的铜镜，朦朦胧胧。",
                    "青螺：青绿色的田螺，这里指君山。",
                ),
                figure="",
                speech="和，是和谐。古时候用铜镜，没有磨过的铜镜朦朦胧胧。青螺，比作湖里的君山。",
            ),
            Slide(
                title="两个比喻",
                lines=("湖面——没有磨过的铜镜", "湖水和君山——白银盘里的青螺", "你还能把它们比作什么？"),
                figure=dongting(),
                speech="诗人把湖面比作铜镜，把君山比作银盘里的青螺。你还能想到什么比喻？",
            ),
            Slide(
                title="比一比三首诗",
                lines=(
                    "《望天门山》：江水奔流，壮丽。",
                    "《饮湖上初晴后雨》：晴雨皆美。",
                    "《望洞庭》：月夜湖面，宁静。",
                ),
                figure="",
                speech="三首诗，三处山水。你最喜欢哪一首？请背给同学听。",
            ),
        ),
        steps=(
            *_READING,
            Step(name="理解诗意", minutes=12, text="抓住“和、镜未磨、白银盘、青螺”想象画面；体会两个比喻。"),
            Step(name="比较阅读", minutes=8, text="三首诗放在一起读，比一比景色和感受。"),
            Step(name="背诵写字", minutes=5, text="背诵；书写“遥、银、盘”。"),
        ),
        tasks=(
            Question(text="跟读三遍，背给同桌听。", answer="略。", space=0),
            Question(text="连一连：湖面—（　　），君山—（　　）。", answer="镜；青螺。", space=0),
            Question(text="三首诗中你最喜欢哪一首？为什么？", answer="合理即可。", space=3),
        ),
        questions=(
            Question(
                text="“潭面无风镜未磨”把（　　）比作（　　）。",
                answer="潭面（湖面）；没有磨过的铜镜。",
                space=0,
            ),
            Question(
                text="“白银盘”指（　　），“青螺”指（　　）。", answer="月光下的洞庭湖水；君山。", space=0
            ),
            Question(text="用自己的话写一写洞庭湖的月夜。", answer="略。", space=4),
            Question(
                text="默写《望洞庭》。",
                answer="湖光秋月两相和，潭面无风镜未磨。遥望洞庭山水翠，白银盘里一青螺。",
                space=4,
            ),
        ),
    ),
)
