"""The codes of the curriculum, their labels in both languages, and how suppliers' words map to them.

Codes are stable; labels are for people. A word we do not know becomes `raw:<word>`: kept, shown, never guessed.
The mapping is LOM 5.2, 5.6 and 9 (GB/T 21365-2008).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from types import MappingProxyType

RAW_PREFIX = "raw:"


def fold(text: str) -> str:
    """Return `text` in the form in which labels are compared: NFKC, one bullet, half-width brackets, no spaces."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    folded = re.sub("[•・·‧∙●。]", "·", folded)
    folded = folded.translate(str.maketrans("【】〔〕「」『』《》〈〉", "[][][][]()()"))
    return re.sub(r"\s+", "", folded)


def _table(rows: str) -> Mapping[str, tuple[str, str, tuple[str, ...]]]:
    """Parse `code|中文|English|synonym,synonym` lines."""
    table = {}
    for row in rows.strip().splitlines():
        code, chinese, english, *rest = (cell.strip() for cell in row.split("|"))
        synonyms = tuple(word for word in rest[0].split(",") if word) if rest else ()
        table[code] = (chinese, english, synonyms)
    return MappingProxyType(table)


STAGES = _table("""
preschool|学前|Preschool|学前教育,幼儿园
primary|小学|Primary|小学阶段
junior|初中|Junior secondary|初级中学,初中阶段
senior|高中|Senior secondary|高级中学,普通高中
primary54|小学（五·四学制）|Primary (5+4)|小学(54学制),小学五四制
junior54|初中（五·四学制）|Junior secondary (5+4)|初中(54学制),初中五四制
special|特殊教育|Special education|特教
vocational|中职|Vocational|中等职业,职业教育
teacher|教师发展|Teacher development|教师,教师研修
""")

GRADES = _table("""
g1|一年级|Grade 1|1年级,小学一年级,小一
g2|二年级|Grade 2|2年级,小学二年级,小二
g3|三年级|Grade 3|3年级,小学三年级,小三
g4|四年级|Grade 4|4年级,小学四年级,小四
g5|五年级|Grade 5|5年级,小学五年级,小五
g6|六年级|Grade 6|6年级,小学六年级,小六
g7|七年级|Grade 7|7年级,初一,初中一年级
g8|八年级|Grade 8|8年级,初二,初中二年级
g9|九年级|Grade 9|9年级,初三,初中三年级
g10|高一|Grade 10|十年级,高中一年级,10年级
g11|高二|Grade 11|十一年级,高中二年级,11年级
g12|高三|Grade 12|十二年级,高中三年级,12年级
""")

SUBJECTS = _table("""
chinese|语文|Chinese|中国语文
math|数学|Mathematics|
english|英语|English|外语
morals|道德与法治|Morals and law|品德,道法,思想品德,品德与生活,品德与社会
politics|思想政治|Politics|政治
science|科学|Science|自然
music|音乐|Music|艺术·音乐,艺术音乐
art|美术|Art|艺术·美术,艺术美术
arts|艺术|Arts|
drama|艺术·舞蹈/影视/戏剧|Dance, film and drama|艺术·舞蹈,艺术·影视,艺术·戏剧,舞蹈,戏剧,影视
pe|体育与健康|Physical education|体育
it|信息科技|Information technology|信息技术,计算机
labour|劳动|Labour|劳动教育,劳动技术
calligraphy|书法|Calligraphy|写字
history|历史|History|中国历史,世界历史
geography|地理|Geography|
physics|物理|Physics|
chemistry|化学|Chemistry|
biology|生物学|Biology|生物
gentech|通用技术|General technology|
japanese|日语|Japanese|
russian|俄语|Russian|
french|法语|French|
german|德语|German|
spanish|西班牙语|Spanish|
mental|心理健康|Mental health|心理,心理健康教育
safety|生命与安全|Life and safety|安全,安全教育,生命安全
ethnic-unity|民族团结|Ethnic unity|民族团结进步
reading|经典阅读|Classic reading|阅读,课外阅读
local|地方/校本课程|Local course|地方课程,校本课程
integrated|综合实践|Integrated practice|综合实践活动
""")

EDITIONS = _table("""
pep|人教版|PEP|人民教育出版社,人教,人教新课标,人教版pep
tongbian|统编版|Unified edition|部编版,统编,部编,统编教材,部编人教版
bnu|北师大版|BNU|北京师范大学出版社,北师大,北师版
su|苏教版|Jiangsu|江苏教育出版社,苏教
fltrp|外研社版|FLTRP|外研版,外语教学与研究出版社
hunan|湘教版|Hunan|湘教,湖南教育出版社
hebei|冀教版|Hebei|冀教,河北教育出版社
luke|鲁科版|Shandong Science|山东科学技术出版社
lujiao|鲁教版|Shandong Education|山东教育出版社
southwest|西师大版|Southwest|西师版,西南师大版,西南师范大学出版社
shanghai|沪教版|Shanghai|上海教育出版社,沪教
renyin|人音版|People's Music|人民音乐出版社
renmei|人美版|People's Fine Arts|人民美术出版社
jiaoke|教科版|Educational Science|教育科学出版社
""")

VOLUMES = _table("""
a|上册|Volume 1|上,第一学期,上学期
b|下册|Volume 2|下,第二学期,下学期
full|全一册|Complete volume|全册,全
other|其他|Other|
""")

KINDS = _table("""
video|视频课程|Video lesson|微课,视频,教学视频,视频课,动画
courseware|课件|Slides|教学课件,ppt课件,ppt
plan|教学设计|Lesson plan|教案,教学方案
tasksheet|学习任务单|Task sheet|任务单,学案,导学案
exercise|课后练习|Exercise|习题,练习,作业,练习题
paper|试卷|Test paper|试题,测试卷,单元测试
recording|课堂实录|Class recording|实录,课例
textbook|电子课本|Textbook|电子教材,课本,教材
ebook|电子图书|E-book|图书,电子书
audio|听力/朗读|Audio|听力,朗读,音频,录音,歌曲
interactive|互动课件|Interactive|互动,互动练习,h5,html5
experiment|实验|Experiment|实验视频,虚拟实验
image|图片|Picture|图片素材,挂图
material|素材|Material|教学素材
case|案例|Case|教学案例
tool|工具|Tool|教学工具
topic|专题|Topic|专题教育
training|教师培训|Teacher training|培训,教师研修
notice|通知|Notice|公告
""")

CLASS_MODES = _table("""
delivered|专递课堂|Delivered class|专递
master|名师课堂|Master class|名师
school|名校网络课堂|School class|名校
synchronous|同步课堂|Synchronous class|同步
none|无|None|
""")

AUDIENCES = _table("""
teacher|教师|Teacher|老师
pupil|学生|Pupil|
parent|家长|Parent|
""")

ORIGINS = _table("""
state|国家|State|国家级,部级
province|省|Province|省级
prefecture|州市|Prefecture|州,市,市级,州级
county|县|County|县级,区县
school|校|School|校级,学校
""")

LICENCES = _table("""
CC0|CC0|CC0|cc0-1.0
CC-BY|CC BY 署名|CC BY|ccby
CC-BY-SA|CC BY-SA 署名-相同方式共享|CC BY-SA|ccbysa
CC-BY-NC|CC BY-NC 署名-非商业|CC BY-NC|ccbync
CC-BY-NC-SA|CC BY-NC-SA 署名-非商业-相同方式共享|CC BY-NC-SA|ccbyncsa
own|本校或本县自有|Own work|自有,自制,原创
contract-county|县级授权|County contract|全县授权,县授权
contract-until|限期授权|Contract with an end|限期,有期限授权
unknown|未知|Unknown|不详
""")

STATES = _table("""
draft|草稿|Draft|
review|待审|In review|待审核
published|已发布|Published|发布
recalled|下架|Recalled|撤回
expired|过期|Expired|
""")

VOCABULARIES: Mapping[str, Mapping[str, tuple[str, str, tuple[str, ...]]]] = MappingProxyType(
    {
        "stage": STAGES,
        "grade": GRADES,
        "subject": SUBJECTS,
        "edition": EDITIONS,
        "volume": VOLUMES,
        "kind": KINDS,
        "class_mode": CLASS_MODES,
        "audience": AUDIENCES,
        "origin": ORIGINS,
        "licence": LICENCES,
        "state": STATES,
    }
)

_ORDER = {field: {code: place for place, code in enumerate(table)} for field, table in VOCABULARIES.items()}

_CODE_OF: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        field: MappingProxyType(
            {
                fold(word): code
                for code, (chinese, english, synonyms) in table.items()
                for word in (code, chinese, english, *chinese.split("/"), *synonyms)
            }
        )
        for field, table in VOCABULARIES.items()
    }
)

_DIGITS = {word: number for number, word in enumerate("零一二三四五六七八九")}


def code_of(field: str, label: str) -> str | None:
    """Return the code of `label` in the vocabulary `field`, or None where it is not known."""
    return _CODE_OF[field].get(fold(label))


def label_of(field: str, code: str, language: str = "zh-CN") -> str:
    """Return what a person reads for `code`; an unmapped `raw:` code shows the supplier's own word."""
    if code.startswith(RAW_PREFIX):
        return code[len(RAW_PREFIX) :]
    entry = VOCABULARIES[field].get(code)
    if entry is None:
        return code
    return entry[0] if language.startswith("zh") else entry[1]


def codes_in_order(field: str, codes: Iterable[str]) -> list[str]:
    """Return `codes` in the order of their vocabulary, unknown ones last by name."""
    order = _ORDER[field]
    return sorted(codes, key=lambda code: (order.get(code, len(order)), code))


def grades_of(label: str) -> tuple[str, ...]:
    """Return the grade codes that `label` names: `三年级`, `g3`, `五至六年级`, `三、四年级`; empty where unknown."""
    single = code_of("grade", label)
    if single:
        return (single,)
    folded = fold(label)
    span = re.fullmatch(r"([一二三四五六七八九1-9])(?:至|到|-|~|—)([一二三四五六七八九1-9])年级", folded)
    if span:
        first, last = (_DIGITS.get(word) or int(word) for word in span.groups())
        return tuple(f"g{number}" for number in range(first, last + 1))
    several = [part for part in re.split("[、,，/;；+]", label) if part.strip()]
    if len(several) > 1:
        found = [
            grades_of(part if re.search("年级|高|初|^g", fold(part)) else f"{part}年级") for part in several
        ]
        if all(found):
            return tuple(dict.fromkeys(code for part in found for code in part))
    return ()


def stage_of_grade(grade: str) -> str | None:
    """Return the usual (6+3+3) stage of a grade code."""
    if not re.fullmatch(r"g\d{1,2}", grade):
        return None
    number = int(grade[1:])
    return "primary" if number <= 6 else "junior" if number <= 9 else "senior" if number <= 12 else None


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """Return a sort key in which numbers, Chinese ones included, count as numbers: 第二单元 before 第十单元.

    No name makes it raise: a run of digits that is no number any more counts in pieces.
    """
    key: list[tuple[int, int, str]] = []
    for digits, chinese, rest in re.findall(
        r"(\d{1,18})|([零一二三四五六七八九十百]+)|([^\d零一二三四五六七八九十百]+)",
        unicodedata.normalize("NFKC", text),
    ):
        if rest:
            key.append((1, 0, rest))
        else:
            key.append((0, int(digits) if digits else _chinese_number(chinese), ""))
    return key


def _chinese_number(text: str) -> int:
    total = current = 0
    for word in text:
        if word in _DIGITS:
            current = _DIGITS[word]
        else:
            total += (current or 1) * (10 if word == "十" else 100)
            current = 0
    return total + current
