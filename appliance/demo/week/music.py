"""Music: a French nursery tune of bells, first sung together, then as a round. Melody in the public domain; the
Chinese words were written for this county."""

from __future__ import annotations

from appliance.demo import melody
from appliance.demo.figures.notation import bells, numbered, round_entries, scale_on_staff, staff
from appliance.demo.lessons import Lesson, Question, Slide, Step
from appliance.demo.style import accent, text

_AUTHOR = "杨小朵"
_TEACHER = "主讲：杨小朵（青禾县城关小学）"
_UNIT = "钟声"
_NOTES = melody.FRERE_JACQUES
_PHRASES = (_NOTES[0:8], _NOTES[8:14], _NOTES[14:26], _NOTES[26:32])

TUNE = melody.Song(title="雅克兄弟", notes=_NOTES, tonic=65, tempo=112)
FIRST_HALF = melody.Song(title="雅克兄弟（前两句）", notes=_NOTES[0:14], tonic=65, tempo=112)
ROUND = melody.Song(title="雅克兄弟（轮唱）", notes=_NOTES, tonic=65, tempo=120, voices=3, entry_beats=8)
SCALE = melody.Song(title="音阶", notes=melody.SCALE, tonic=65, tempo=112)


def song_sheet() -> str:
    """Return the whole song in numbered notation."""
    body = [text(260, 44, "雅克兄弟", 32, fill=accent("music").deep, weight="700", anchor="middle")]
    body.append(text(16, 44, "1＝F  4/4", 19))
    body += [numbered(20, 104 + 90 * place, 490, phrase, size=25) for place, phrase in enumerate(_PHRASES)]
    return "".join(body)


def first_phrases() -> str:
    """Return the first half of the song on the staff, with its numbers."""
    return staff(18, 132, 486, _PHRASES[0], gap=14) + staff(18, 312, 486, _PHRASES[1], gap=14)


MUSIC: tuple[Lesson, ...] = (
    Lesson(
        weekday=2,
        subject="music",
        edition="人音版",
        unit=_UNIT,
        name="学唱《雅克兄弟》",
        number=1,
        author=_AUTHOR,
        summary="用轻快的声音学唱法国儿歌《雅克兄弟》，认识简谱中的四分音符、二分音符和八分音符。",
        keywords=("音乐", "学唱", "雅克兄弟", "儿歌", "简谱", "钟声"),
        knowledge=("四分音符与八分音符", "音阶", "歌唱姿势与呼吸"),
        goals=(
            "用自然、轻快的声音演唱歌曲。",
            "认识四分音符、八分音符和二分音符的时值。",
            "听辨旋律的上行和下行。",
        ),
        focus="准确、轻快地演唱歌曲。",
        difficulty="第三句八分音符的节奏。",
        preparation="歌曲音频；没有钢琴可用口琴或跟视频唱；铃鼓或杯子作钟声。",
        slides=(
            Slide(
                title="学唱《雅克兄弟》",
                lines=("法国儿歌，听那钟声叮当当", _TEACHER),
                figure=bells(),
                speech="小朋友们好！听，钟声响了，我们来学一首法国儿歌。",
            ),
            Slide(
                title="唱音阶",
                lines=("站直，肩膀放松，吸一口气。", "一个音一个音往上唱。", "再往下唱回来。"),
                figure=scale_on_staff(),
                speech="先来唱音阶，声音要轻，要圆。",
            ),
            Slide(
                title="前两句",
                lines=("第一句：1 2 3 1，唱两遍。", "第二句：3 4 5 —，5 要唱满两拍。", "边唱边拍手。"),
                figure=first_phrases(),
                speech="先听前两句。第二句的最后一个音，要唱满两拍。",
            ),
            Slide(
                title="整首歌",
                lines=("第三句有八分音符，快一点，唱清楚。", "最后一句像钟声：叮当当。"),
                figure=song_sheet(),
                speech="现在听整首歌，跟着轻轻地唱。",
            ),
        ),
        steps=(
            Step(name="组织教学", minutes=4, text="师生问好，听钟声录音，模仿“叮—当—当”。"),
            Step(name="发声练习", minutes=6, text="唱 F 大调音阶上行、下行，用手势表示高低。"),
            Step(name="学唱歌曲", minutes=18, text="听赏—拍节奏—分句模唱—连起来唱；重点练第三句八分音符。"),
            Step(name="歌表演", minutes=8, text="分组用铃鼓、杯子敲出“叮当当”，为歌曲伴奏。"),
            Step(name="小结", minutes=4, text="说说歌曲里雅克听到了什么，下节课学轮唱。"),
        ),
        tasks=(
            Question(
                text="听歌曲音频三遍，边听边用手指点歌谱。", answer="略。", figure=song_sheet(), space=0
            ),
            Question(text="拍一拍节奏：× × × ×｜× × × —｜×× ×× × ×｜× × × —", answer="略。", space=0),
            Question(text="找两样东西敲出“叮”和“当”两种声音，写下来。", answer="略。", space=1),
        ),
        questions=(
            Question(
                text="四分音符唱（　）拍，二分音符唱（　）拍，两个八分音符合起来唱（　）拍。",
                answer="1；2；1。",
                space=0,
            ),
            Question(text="“1 2 3 1”这一句的前三个音是越来越（　　）。（高 / 低）", answer="高。", space=0),
            Question(text="把歌曲唱给家人听，请他们说说像什么钟声。", answer="略。", space=1),
        ),
    ),
    Lesson(
        weekday=4,
        subject="music",
        edition="人音版",
        unit=_UNIT,
        name="轮唱《雅克兄弟》",
        number=2,
        author=_AUTHOR,
        summary="在学会歌曲的基础上进行二声部、三声部轮唱，体验声部先后进入的和谐。",
        keywords=("音乐", "轮唱", "雅克兄弟", "合唱", "声部"),
        knowledge=("轮唱", "声部", "聆听与合作"),
        goals=("知道什么是轮唱。", "能按时进入，保持自己声部的音准和速度。", "学会一边唱一边听别人。"),
        focus="二声部轮唱。",
        difficulty="不被别的声部带走，速度一致。",
        preparation="轮唱音频；全班（或复式班两个年级）分成 2～3 组。",
        slides=(
            Slide(
                title="轮唱《雅克兄弟》",
                lines=("一组先唱，一组后进", _TEACHER),
                figure=bells(),
                speech="小朋友们好！今天我们来轮唱，让钟声一个接一个地响起来。",
            ),
            Slide(
                title="什么是轮唱",
                lines=("同一首歌，", "一组先唱，另一组隔几拍再进入，", "像一个追着一个。"),
                figure=round_entries(("①", "②", "③", "④")),
                speech="轮唱，就是大家唱同一首歌，一组先唱，另一组隔两小节再进来。",
            ),
            Slide(
                title="听一听",
                lines=("听：第二声部什么时候进来？", "听：第三声部呢？", "三个声部合在一起，多和谐！"),
                figure=song_sheet(),
                speech="请听三个声部的轮唱，举手告诉我，第二声部什么时候进来。",
            ),
            Slide(
                title="唱一唱",
                lines=("看指挥，准时进入。", "声音轻一点，听着别人唱。", "唱完自己的遍数，轻轻停下。"),
                figure=round_entries(("①", "②", "③", "④")),
                speech="看指挥，准时进入。一边唱，一边听，声音轻一点。",
            ),
        ),
        steps=(
            Step(name="复习", minutes=6, text="齐唱《雅克兄弟》，巩固第三句节奏。"),
            Step(name="听辨", minutes=8, text="听轮唱录音，看图说出各声部进入的时间。"),
            Step(name="二声部轮唱", minutes=14, text="教师带一组、视频带一组，先慢后原速；强调听。"),
            Step(name="三声部轮唱", minutes=8, text="复式班可按年级分声部；加入铃鼓伴奏。"),
            Step(name="小结", minutes=4, text="轮唱时怎样才能整齐？（看、听、稳）"),
        ),
        tasks=(
            Question(
                text="听轮唱音频，第二声部在第一声部唱到第（　）句时进入。",
                answer="第二句。",
                figure=round_entries(("①", "②", "③", "④")),
                space=0,
            ),
            Question(text="和同桌（或家人）两人轮唱，给自己打几颗星？", answer="略。", space=1),
            Question(text="还有哪些歌适合轮唱？试一试《两只老虎》。", answer="如《两只老虎》。", space=1),
        ),
        questions=(
            Question(
                text="轮唱是唱（同一首 / 不同的）歌，各声部（同时 / 先后）进入。圈出正确的词。",
                answer="同一首；先后。",
                space=0,
            ),
            Question(
                text="轮唱时要注意什么？写两点。",
                answer="准时进入、音量适中、边唱边听、速度一致等。",
                space=2,
            ),
            Question(text="画一画：三个声部依次进入的样子。", answer="略。", space=4),
        ),
    ),
)

FILM_MUSIC: dict[str, tuple[melody.Song | None, ...]] = {
    "学唱《雅克兄弟》": (None, SCALE, FIRST_HALF, TUNE),
    "轮唱《雅克兄弟》": (None, None, ROUND, None),
}
