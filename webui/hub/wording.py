"""How the staff pages say counts, rates, times and states, in the page's language. Pure."""

from __future__ import annotations

from datetime import datetime

from catalog.curriculum import RAW_PREFIX
from catalog.messages import MESSAGES
from webui.hub.jobs import (
    BATCH,
    CLOSED,
    DONE,
    FAILED,
    INGEST,
    PUBLISH,
    RECEIVING,
    REVIEW,
    SCAN,
    STICK,
    WRITE,
    Failure,
    Job,
)
from webui.words import Words, kind_glyph, subject_class, subject_glyph

_STATES = {
    RECEIVING: "正在接收",
    SCAN: "正在检查",
    REVIEW: "等您查看",
    INGEST: "正在收入",
    PUBLISH: "正在发布",
    WRITE: "正在写",
    DONE: "已收入",
    CLOSED: "已退回",
    FAILED: "停下了",
}
_STICK_STATES = {DONE: "写好了", CLOSED: "停下了"}
_PHASES = {
    "scan": "检查内容",
    "ingest": "收入资源库",
    "manifest": "编写清单",
    "link": "放置文件",
    "export": "写入，并回读核对",
    "verify": "核对上次留下的",
}
_ACTIONS = {
    "log in": "登录",
    "log out": "退出",
    "log-in refused": "登录被拒",
    "change password": "修改密码",
    "take upload": "上传一批资源",
    "take disk": "从移动盘收一批资源",
    "accept": "收下合格的资源",
    "send back": "整批退回",
    "try again": "再试一次",
    "publish": "发布",
    "create bundle": "新建资源包",
    "write cards": "制卡",
    "make disks": "制盘",
    "stop card": "停下一张卡",
    "write stick": "写 U 盘",
    "stop stick": "停下写 U 盘",
    "make schools": "做学校设置",
    "take passwords": "下载密码表",
    "take sheet": "打开恢复单",
    "take recovery file": "下载恢复文件",
    "store recovery file": "把恢复文件存到 U 盘",
    "recovery refused": "取恢复单被拒",
    "recovery kept": "收好恢复单和恢复文件",
}
_FIELDS = {
    "stage": "学段",
    "grades": "年级",
    "subject": "学科",
    "edition": "版本",
    "volume": "册次",
    "kind": "类型",
    "licence": "授权",
    "title": "标题",
    "path": "目录",
    "audience": "适用对象",
    "origin": "来源级别",
    "class_mode": "课堂形态",
    "state": "状态",
}
# Where the common hint names an option of a command.
_REMEDIES = {"E-LICENCE": "填写“授权”列，或收资源时选好授权"}
_STICK_REMEDIES = {
    "E-STICK-ACCESS": "请换一个 FAT32、exFAT 或 NTFS 格式的盘",
    "E-DISK-FULL": "换一个大些的盘，或者少选几个资源包",
    "E-PULLED": "插回去，从“写 U 盘”再写一次，会接着写；主机上的内容不受影响",
    "E-NO-TREE": "先发布一次",
    "E-BUNDLE": "资源包变了，请回去再选一次",
}
_BOARDS = {"pc": "电脑（旧电脑、小主机）", "rpi": "树莓派"}
_ROLES = {"box": "书箱", "hub": "县中心"}
_BUSES = {"usb": "USB", "mmc": "SD 卡槽", "sata": "SATA", "nvme": "NVMe"}
_FILESYSTEMS = {"vfat": "FAT32", "exfat": "exFAT", "ntfs": "NTFS"}
_MINUTE = 60


class HubWords(Words):
    """The words of one language, with those of the staff pages."""

    def state(self, job: Job) -> str:
        """Return what a job's state is called."""
        if job.kind == STICK and job.state in _STICK_STATES:
            return self._t(_STICK_STATES[job.state])
        if job.state == DONE and job.kind != BATCH:
            return self._t("已发布" if job.counts and job.counts.new else "没有变化")
        return self._t(_STATES[job.state])

    def phase(self, phase: str) -> str:
        """Return what a phase of work is called; its own name where it is a new one."""
        return self._t(_PHASES[phase]) if phase in _PHASES else phase

    def action(self, action: str) -> str:
        """Return what an action of the log is called."""
        return self._t(_ACTIONS[action]) if action in _ACTIONS else action

    def count(self, number: int | None) -> str:
        """Return a number with thousands marked, and a dash for what is not known."""
        return "—" if number is None else f"{number:,}"

    def moment(self, stamp: str | datetime, now: datetime) -> str:
        """Return a time for people, in the zone of `now`: 今天 14:05, 昨天 09:30, 11月3日 16:20."""
        when = datetime.fromisoformat(stamp) if isinstance(stamp, str) else stamp
        when = when.astimezone(now.tzinfo)
        days = (now.date() - when.date()).days
        clock = f"{when:%H:%M}"
        if days in (0, 1):
            return f"{self._t('昨天' if days else '今天')} {clock}"
        return f"{self.day(when.date(), year=when.year != now.year)} {clock}"

    def left(self, seconds: float) -> str:
        """Return how long something will take: 不到 1 分钟, 约 5 分钟, 约 2 小时 10 分钟."""
        if seconds < _MINUTE:
            return self._t("不到 1 分钟")
        hours, minutes = divmod(round(seconds / _MINUTE), 60)
        if self.chinese:
            return f"约 {hours} 小时 {minutes} 分钟" if hours else f"约 {minutes} 分钟"
        return f"about {hours} h {minutes} min" if hours else f"about {minutes} min"

    def what(self, code: str) -> str:
        """Return what a code says is wrong."""
        message = MESSAGES[code]
        return message.zh if self.chinese else message.en

    def written(self, found: str) -> str:
        """Return what a finding found, as the list has it: without the mark of words that no vocabulary has."""
        return found.removeprefix(RAW_PREFIX)

    def remedy(self, code: str) -> str:
        """Return what to do about a code, in this console rather than on a command line."""
        if code in _REMEDIES:
            return self._t(_REMEDIES[code])
        message = MESSAGES[code]
        return message.hint_zh if self.chinese else message.hint_en

    def failure(self, failure: Failure) -> str:
        """Return the one line of a failure."""
        return MESSAGES[failure.code].line(
            failure.code,
            self.language,
            where=failure.where,
            expected=failure.expected,
            found=failure.found,
        )

    def of_stick(self, code: str) -> str:
        """Return what is wrong with a stick and what to do about it here, where nobody types commands."""
        remedy = self._t(_STICK_REMEDIES[code]) if code in _STICK_REMEDIES else self.remedy(code)
        return f"{self.what(code)}{'。' if self.chinese else '. '}{remedy}{'。' if self.chinese else '.'}"

    def subject_colour(self, subject: str | None) -> str:
        """Return the name of the colour that stands for the subject."""
        return subject_class(subject)

    def drawn(self, kind: str | None, subject: str | None) -> str:
        """Return the name of the drawn sign: the kind's, or where none is said the subject's."""
        return kind_glyph(kind) if kind else subject_glyph(subject)

    def column(self, name: str) -> str:
        """Return what a column is called: a finding may name it by its field."""
        return self._t(_FIELDS[name]) if name in _FIELDS else name

    def board(self, board: str) -> str:
        """Return what kind of machine an image is for."""
        return self._t(_BOARDS[board]) if board in _BOARDS else board or self._t("没有说明")

    def role(self, role: str) -> str:
        """Return what a machine with an image will be."""
        return self._t(_ROLES[role]) if role in _ROLES else role

    def bus(self, bus: str) -> str:
        """Return where a card or disk is plugged in."""
        return self._t(_BUSES[bus]) if bus in _BUSES else bus.upper() or self._t("盘")

    def filesystem(self, kind: str) -> str:
        """Return what a filesystem is called on the disks that people buy."""
        return _FILESYSTEMS.get(kind) or kind or self._t("看不懂的内容")

    def gigabytes(self, size_gb: int) -> str:
        """Return the size of a disk as it is sold."""
        return "1 TB" if size_gb == 1000 else f"{size_gb} GB"
