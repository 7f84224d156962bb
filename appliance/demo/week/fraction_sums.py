"""Mathematics, Thursday and Friday: adding and subtracting fractions, two thirds of twelve apples."""

from __future__ import annotations

from appliance.demo.figures.fractions import pies, sharing, strips
from appliance.demo.lessons import Lesson, Question, Slide, Step

_UNIT = "分数的初步认识"
_AUTHOR = "林晓燕"

FRACTION_SUMS: tuple[Lesson, ...] = (
    Lesson(
        weekday=3,
        subject="math",
        edition="人教版",
        unit=_UNIT,
        name="分数的简单计算",
        number=4,
        author=_AUTHOR,
        summary="借助图形理解同分母分数加减法的算理：分母不变，分子相加减；会算 1 减几分之几。",
        keywords=("分数加减法", "同分母分数", "简单计算"),
        knowledge=("同分母分数加减法", "1 减几分之几"),
        goals=(
            "会计算简单的同分母分数加、减法（和在 1 以内）。",
            "会计算 1 减几分之几。",
            "能用“几个几分之一”说明算理。",
        ),
        focus="同分母分数加、减法的计算方法。",
        difficulty="理解 1 可以看成任意一个分子、分母相同的分数。",
        preparation="西瓜图片（或圆片）、纸条、练习本。",
        slides=(
            Slide(
                title="分数的简单计算",
                lines=(
                    "哥哥吃了 {2/8}，弟弟吃了 {1/8}，一共吃了几分之几？",
                    "主讲：林晓燕（青禾县实验小学）",
                ),
                figure=pies([(3, 8)]),
                speech="同学们好！一个西瓜平均分成八块，哥哥吃了两块，弟弟吃了一块，一共吃了几分之几？",
            ),
            Slide(
                title="同分母分数相加",
                lines=("{2/8} ＋ {1/8} ＝ {3/8}", "2 个 {1/8} 加 1 个 {1/8}，", "是 3 个 {1/8}。"),
                figure=pies([(2, 8), (3, 8)]),
                speech="两个八分之一，加上一个八分之一，是三个八分之一，就是八分之三。",
            ),
            Slide(
                title="同分母分数相减",
                lines=("{5/6} － {2/6} ＝ {3/6}", "5 个 {1/6} 减去 2 个 {1/6}，", "还剩 3 个 {1/6}。"),
                figure=strips([(5, 6), (2, 6), (3, 6)]),
                speech="五个六分之一，减去两个六分之一，还剩三个六分之一。分母不变，分子相减。",
            ),
            Slide(
                title="1 减几分之几",
                lines=("1 － {1/4} ＝ ？", "把 1 看成 {4/4}，", "{4/4} － {1/4} ＝ {3/4}"),
                figure=strips([(4, 4), (1, 4), (3, 4)]),
                speech="一减四分之一，先把一看成四分之四，四分之四减四分之一，等于四分之三。",
            ),
            Slide(
                title="算一算",
                lines=("{3/7} ＋ {2/7} ＝", "{8/9} － {5/9} ＝", "1 － {3/5} ＝"),
                figure=pies([(5, 7)], label=False),
                speech="请你算一算这三道题，再说一说是怎样想的。",
            ),
        ),
        steps=(
            Step(
                name="情境导入",
                minutes=5,
                text="出示“分西瓜”图：哥哥吃 {2/8}，弟弟吃 {1/8}，你能提出什么数学问题？",
            ),
            Step(
                name="学习加法",
                minutes=10,
                text="借助图形说算理：2 个 {1/8} 加 1 个 {1/8} 是 3 个 {1/8}。提醒：不是 {3/16}。",
            ),
            Step(
                name="学习减法",
                minutes=12,
                text="自主尝试 {5/6} － {2/6}；讨论 1 － {1/4}，1 可以看成 {4/4}。",
            ),
            Step(name="巩固练习", minutes=9, text="计算并画图验证；解决“还剩几分之几”的实际问题。"),
            Step(name="课堂小结", minutes=4, text="同分母分数相加减，什么不变？什么相加减？"),
        ),
        tasks=(
            Question(
                text="画图说明：{1/5} ＋ {3/5} ＝（　　）。",
                answer="{4/5}。",
                figure=strips([(0, 5)]),
                space=1,
            ),
            Question(
                text="一瓶水喝了 {1/3}，还剩几分之几？用画图和算式两种办法表示。",
                answer="1 － {1/3} ＝ {2/3}。",
                space=3,
            ),
            Question(text="编一道分数加法的应用题，考考同桌。", answer="合理即可。", space=2),
        ),
        questions=(
            Question(
                text="计算：{1/4} ＋ {2/4} ＝　　　　{3/8} ＋ {4/8} ＝　　　　{2/9} ＋ {5/9} ＝",
                answer="{3/4}；{7/8}；{7/9}。",
                space=0,
            ),
            Question(
                text="计算：{6/7} － {2/7} ＝　　　　{9/10} － {6/10} ＝　　　　1 － {5/8} ＝",
                answer="{4/7}；{3/10}；{3/8}。",
                space=0,
            ),
            Question(
                text="小马虎算 {2/5} ＋ {1/5} ＝ {3/10}，错在哪里？请改正。",
                answer="分母不变，应为 {3/5}。",
                space=2,
            ),
            Question(
                text="一条路，第一天修了 {3/10}，第二天修了 {4/10}，两天共修几分之几？还剩几分之几？",
                answer="共修 {7/10}，还剩 {3/10}。",
                space=2,
            ),
        ),
    ),
    Lesson(
        weekday=4,
        subject="math",
        edition="人教版",
        unit=_UNIT,
        name="分数的简单应用",
        number=5,
        author=_AUTHOR,
        summary="把一些物体看成一个整体，用分数表示其中的几份；解决“求一个数的几分之几是多少”的简单问题。",
        keywords=("分数", "整体", "求一个数的几分之几", "解决问题"),
        knowledge=("整体的几分之几", "求一个数的几分之几是多少"),
        goals=(
            "知道可以把几个物体看成一个整体，用分数表示它的一部分。",
            "会用“先平均分，再取几份”的方法解决简单问题。",
            "养成画图分析的习惯。",
        ),
        focus="用分数表示一个整体的几份，求一个数的几分之几。",
        difficulty="理解“整体”，分清份数与个数。",
        preparation="12 个小圆片（或豆子）、画图纸。",
        slides=(
            Slide(
                title="分数的简单应用",
                lines=("6 个苹果的 {1/3} 是几个？", "主讲：林晓燕（青禾县实验小学）"),
                figure=sharing(3, 2, 1),
                speech="同学们好！六个苹果的三分之一是几个？我们用分数来解决生活中的问题。",
            ),
            Slide(
                title="把 6 个苹果看成一个整体",
                lines=("平均分成 3 份，", "1 份是苹果总数的 {1/3}，", "2 份是苹果总数的 {2/3}。"),
                figure=sharing(3, 2, 2),
                speech="把六个苹果看成一个整体，平均分成三份。一份是三分之一，两份是三分之二。",
            ),
            Slide(
                title="求 12 个的 {2/3}",
                lines=(
                    "先算 1 份：12 ÷ 3 ＝ 4（个）",
                    "再算 2 份：4 × 2 ＝ 8（个）",
                    "12 个的 {2/3} 是 8 个。",
                ),
                figure=sharing(3, 4, 2),
                speech="十二个苹果的三分之二是多少？先平均分成三份，每份四个；再取两份，是八个。",
            ),
            Slide(
                title="解决问题的步骤",
                lines=(
                    "读：谁是整体？平均分成几份？",
                    "画：画图表示。",
                    "算：先除后乘。",
                    "查：答案合理吗？",
                ),
                figure=sharing(4, 2, 3),
                speech="记住四步：读一读，画一画，算一算，查一查。先用除法求一份，再用乘法求几份。",
            ),
            Slide(
                title="练一练",
                lines=("合唱队有 15 人，女生占 {3/5}。", "女生有多少人？男生呢？"),
                figure=strips([(3, 5)]),
                speech="合唱队有十五人，女生占五分之三，女生有多少人？请你画图算一算。",
            ),
        ),
        steps=(
            Step(
                name="对比导入",
                minutes=6,
                text="出示 1 张纸的 {1/4} 和 4 张纸中的 1 张，找相同与不同，引出“整体”。",
            ),
            Step(
                name="探究新知",
                minutes=14,
                text="用 6 个圆片分一分，说出 {1/3}、{2/3}；再分成 2 份、6 份，体会份数不同分数不同。",
            ),
            Step(name="解决问题", minutes=10, text="学习例题：12 名同学的 {2/3} 是几人？画图—列式—检验。"),
            Step(name="巩固练习", minutes=7, text="完成学习任务单；学有余力的同学编题。"),
            Step(name="单元小结", minutes=3, text="整理本单元：几分之一、几分之几、计算、应用。"),
        ),
        tasks=(
            Question(
                text="用 12 个圆片（豆子）分别摆出它的 {1/2}、{1/3}、{3/4}，记录个数。",
                answer="6 个、4 个、9 个。",
                space=1,
            ),
            Question(
                text="看图填空：一共（　　）个苹果，平均分成（　　）份，圈出的占 {3/4}，是（　　）个。",
                answer="8；4；6。",
                figure=sharing(4, 2, 3, label=False),
                space=0,
            ),
            Question(
                text="画图解决：9 个同学，{1/3} 在扫地，扫地的有几人？", answer="9 ÷ 3 ＝ 3（人）。", space=3
            ),
        ),
        questions=(
            Question(text="10 个梨的 {1/5} 是（　　）个；{3/5} 是（　　）个。", answer="2；6。", space=0),
            Question(
                text="一盒铅笔 12 支，用去 {1/4}，用去多少支？还剩多少支？",
                answer="用去 12 ÷ 4 ＝ 3（支），还剩 9 支。",
                space=2,
            ),
            Question(
                text="教学点有 24 名学生，{3/8} 是一年级学生，一年级有多少名？",
                answer="24 ÷ 8 × 3 ＝ 9（名）。",
                space=2,
            ),
            Question(
                text="妈妈买了一些鸡蛋，吃了 6 个，正好是总数的 {1/3}。妈妈一共买了多少个？（选做）",
                answer="6 × 3 ＝ 18（个）。",
                space=2,
            ),
        ),
    ),
)
