"""The column names of lists: what suppliers write above a column, and the field it means.

The fields are those of `catalog.resource` plus the ones only a list has: `grade_volume`, `unit`, `lesson`, `period`,
`file`, `file_path`, `subtitle`, `cover`, and `ignored` for columns that say nothing about the resource.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from catalog.curriculum import fold

_SYNONYMS = """
id: 资源标识 资源编号 资源ID 编号 标识 唯一标识 identifier uuid
upstream_id: 上游标识 原编号 原标识
title: 标题 名称 题名 资源名称 资源标题 视频标题 视频名称 课件名称 课程名称 作品名称 微课名称 文件标题 name
alt_title: 副标题 别名 其他题名 又名 subtitle_text
stage: 学段 学校类型 教育阶段
grades: 年级 适用年级 grade 年级名称
grade_volume: 年级册次 年级/册次 年级册别 册别年级
subject: 学科 科目 课程 学科名称 适用学科
edition: 版本 教材版本 教材 出版社 教材出版社 版别
textbook_year: 教材年份 版本年份 教材年
new_old: 新/旧 新旧 新旧教材 新/旧教材
volume: 册次 册别 册 上下册 学期 册数 term
unit: 单元 模块 单元/模块 单元名称 章 章节 章名 单元（章）
lesson: 课 课文 课题 课名 课程内容 课时/知识点 课时名称 小节 节 节名 课名称 课次名称
path: 目录 章节目录 教材目录 层级
lesson_no: 课序 课号 第几课 课次
period: 课时 课时序号 第几课时
period_no: 课时号
kind: 类型 资源类型 资源类别 类别 素材类型 资源形式
class_mode: 课堂形态 三个课堂 课堂类型
audience: 适用对象 使用对象 对象 用户对象
language: 语种 语言 授课语言 教学语言
origin: 来源级别 级别 资源级别
award: 获奖 获奖情况 奖项 优课
author: 作者 主讲 主讲教师 主讲人 教师 制作者 执教 执教教师 授课教师 作者姓名 编者
school_code: 学校标识码 学校代码 学校识别码
reviewer: 审核 审核人 审核教师
licence: 授权 版权 许可 授权方式 许可协议 license 版权信息
scope: 范围 授权范围 使用范围
valid_to: 到期 有效期 有效期至 授权到期 到期日期 截止日期
keywords: 关键词 关键字 标签 主题词 tags
description: 简介 描述 内容简介 资源简介 说明 摘要 内容描述
knowledge: 知识点 知识点名称 涉及知识点
duration_seconds: 时长 播放时长 视频时长 时长（秒） duration
pages: 页数
file: 文件 文件名 文件名称 附件 源文件 视频文件 资源文件 filename
file_path: 完整路径 路径 文件路径 资源路径 存储路径 文件夹 所在文件夹 filepath
files: 全部文件
subtitle: 字幕 字幕文件 subtitles
cover: 封面 封面图 缩略图 封面图片 封面文件 thumb thumbnail
a11y: 无障碍 无障碍特征
requires: 运行要求 运行环境 环境要求
quality: 排序权 质量 推荐度
state: 状态 发布状态 审核状态
source: 来源 资源来源 来源单位 提供单位
created: 创建时间 创建日期 制作日期 制作时间
updated: 更新时间 修改时间 更新日期
ignored: 序号 行号 退回原因 原行号 no. 大小 文件大小 格式 文件格式 扩展名 文件类型 size_bytes size
"""


def _fold_header(text: str) -> str:
    folded = fold(text).strip("*#:")
    return re.sub(r"[*★]|[(\[](必填|选填|可选|必选)[)\]]", "", folded)


_FIELD_OF: Mapping[str, str] = MappingProxyType(
    {
        _fold_header(word): field
        for line in _SYNONYMS.strip().splitlines()
        for field, _, words in (line.partition(": "),)
        for word in (field, *words.split())
    }
)

FIELDS = frozenset(_FIELD_OF.values())
IDENTITY_FIELDS = frozenset({"id", "title", "file", "file_path"})
_HEADER_MINIMUM = 2


def field_of(header: str) -> str | None:
    """Return the field that the column name `header` means, or None where it is not known.

    `单元 / 模块`, `标题（必填）` and `*年级` are understood; so is `学科（人教版）`, by its first part.
    """
    folded = _fold_header(header)
    return _FIELD_OF.get(folded) or _FIELD_OF.get(re.sub(r"[(\[].*$", "", folded))


def is_header(cells: list[str]) -> int:
    """Return how many known columns the row `cells` names, or 0 where it cannot be a header row."""
    fields = {field for cell in cells if cell and (field := field_of(cell))}
    if not fields & {"title", "file", "file_path"}:
        return 0
    return len(fields) if len(fields) >= _HEADER_MINIMUM or len([c for c in cells if c]) == 1 else 0
