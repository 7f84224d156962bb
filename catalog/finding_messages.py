"""The words of findings: what is wrong with a row or file of a list that is ingested. The command goes on."""

from __future__ import annotations

from catalog.message import Message

FINDINGS: dict[str, Message] = {
    "E-ARCHIVE-NAMES": Message(
        0,
        "压缩包内的文件名编码不明",
        "the encoding of the names in the archive is not known",
        "核对文件名；如有误，解压后以文件夹入库",
        "check the names; if wrong, unpack and ingest the folder",
    ),
    "E-COLUMN": Message(
        0,
        "不认识的列，内容原样保留",
        "unknown column, kept as it is",
        "如需使用，请改成约定的列名",
        "rename it to a known column if it should be used",
    ),
    "E-CODE": Message(
        0,
        "词表中没有的写法，原样保留",
        "not in the vocabulary, kept as it is",
        "改成词表中的写法，或请县里补充对应",
        "use a word of the vocabulary, or map it",
    ),
    "E-VALUE": Message(0, "内容无法识别", "the value cannot be read", "改正该单元格", "correct this cell"),
    "E-JSON": Message(
        0, "该行不是合规的 JSON 记录", "this line is no JSON record", "改正该行", "correct this line"
    ),
    "E-TITLE": Message(0, "缺少标题", "the title is missing", "补上标题", "add the title"),
    "E-LICENCE": Message(
        0,
        "缺少可发布的授权",
        "a licence to publish is missing",
        "填写“授权”列，或用 --licence 指定",
        "fill in the licence column, or give --licence",
    ),
    "E-ID-TWICE": Message(
        0,
        "与前面的行是同一个资源标识",
        "an earlier row has the same id",
        "改用不同的编号，或删去重复的行",
        "give it another id, or delete the repeated row",
    ),
    "E-MERGED": Message(
        0,
        "合并单元格使本行含义不明",
        "merged cells make this row ambiguous",
        "取消合并，逐行填写",
        "unmerge the cells and fill in each row",
    ),
    "E-FILE-MISSING": Message(
        0,
        "清单中的文件不存在",
        "a file of the list is not there",
        "补上文件，或改正文件名",
        "add the file, or correct its name",
    ),
    "E-FILE-AMBIGUOUS": Message(
        0,
        "有多个同名文件，无法确定是哪一个",
        "several files have this name",
        "在清单中写出完整路径",
        "write the whole path in the list",
    ),
    "E-FILE-UNLISTED": Message(
        0,
        "文件夹中有清单未列出的文件，未入库",
        "files of the folder are in no list and were not taken",
        "需要时补进清单",
        "add them to the list if they are wanted",
    ),
    "E-FILE-READ": Message(
        0,
        "文件读不出来",
        "the file cannot be read",
        "检查磁盘，重新拷贝该文件",
        "check the disk and copy the file again",
    ),
    "E-LINK": Message(
        0,
        "快捷方式或链接不入库",
        "links are not taken",
        "放入真正的文件",
        "put the real file there",
    ),
    "E-EMPTY-FILE": Message(
        0, "文件是空的（0 字节）", "the file is empty (0 bytes)", "重新拷贝该文件", "copy the file again"
    ),
    "E-PDF": Message(0, "不是可用的 PDF", "this is no usable PDF", "重新导出该 PDF", "export the PDF again"),
    "E-PDF-LOCKED": Message(
        0,
        "PDF 有密码，无法生成页图",
        "the PDF has a password: no page images",
        "去掉密码后重新入库",
        "remove the password and ingest it again",
    ),
    "E-VIDEO": Message(
        0,
        "视频损坏或无法播放",
        "the video is damaged or cannot be played",
        "重新导出该视频",
        "export the video again",
    ),
    "E-AUDIO": Message(
        0,
        "音频损坏或无法播放",
        "the sound is damaged or cannot be played",
        "重新导出该音频",
        "export the sound again",
    ),
    "E-PICTURE": Message(
        0,
        "图片损坏或过大",
        "the picture is damaged or too large",
        "重新导出该图片",
        "export the picture again",
    ),
    "E-SUBTITLE": Message(
        0,
        "字幕无法识别，未使用",
        "the subtitles cannot be read and were not used",
        "改存为 UTF-8 的 .srt",
        "save them as .srt in UTF-8",
    ),
    "E-PACKAGE": Message(
        0,
        "互动包损坏或不安全",
        "the interactive package is damaged or not safe",
        "重新导出该互动包",
        "export the package again",
    ),
}
