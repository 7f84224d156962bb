"""The words of what is wrong with a stick or disk that carries a tree; see `catalog.messages`."""

from __future__ import annotations

from catalog.message import Message

STICKS: dict[str, Message] = {
    "E-STICK-OTHER": Message(
        11,
        "盘上是另一个县中心的内容",
        "the disk carries another hub's tree",
        "换一个盘，或先删掉盘上的 metadata、targets、blobs、packs",
        "use another disk, or delete metadata, targets, blobs and packs there first",
    ),
    "E-STICK-NEWER": Message(
        12,
        "盘上的发布比本机的新，没有改动它",
        "the disk is at a newer release than this machine, and was left as it is",
        "先用这个盘同步本机，或换一个盘",
        "sync this machine from it first, or use another disk",
    ),
    "E-STICK-CHANGED": Message(
        14,
        "这不是检查过的那个盘",
        "this is not the disk that was checked",
        "插回检查过的盘，再试一次；要收这个盘，从“收资源”打开它",
        "plug in the one that was checked and try again; to take this one, open it under Take content",
    ),
    "E-STICK-LINK": Message(
        14,
        "盘上该是文件夹或文件的位置，是链接或别的东西；什么也没写",
        "a link, or something strange, stands where a folder or file of ours should: nothing was written",
        "看看这个位置是什么，移走它，或换一个盘",
        "look at what is there and move it away, or use another disk",
    ),
    "E-STICK-PACK": Message(
        14,
        "盘上的一个包损坏",
        "a pack on the disk is damaged",
        "在县中心或上级书箱再导出一次",
        "export to it once more",
    ),
    "E-STICK-ACCESS": Message(
        25,
        "没有写这个盘的权限",
        "this disk may not be written",
        "FAT、exFAT、NTFS 盘：卸下后用 mount -o uid=shuxiang,gid=shuxiang 重新挂载；ext4 盘：chown shuxiang 目录",
        "FAT, exFAT, NTFS: mount it anew with -o uid=shuxiang,gid=shuxiang; ext4: chown shuxiang DIR",
    ),
    "E-STICK-BAD": Message(
        26,
        "写进盘里的读出来不一样：坏盘，或容量虚标的假盘",
        "what was written to the disk does not read back: a bad disk, or a fake of less capacity than it says",
        "换一个盘，这个盘不要再用",
        "use another disk, and this one no more",
    ),
    "E-STICK-KIND": Message(
        14,
        "认不出盘上的格式",
        "the disk's filesystem is not known here",
        "换一个盘；或在电脑上格式化成 exFAT（会清空盘）。加密的盘先在电脑上取消加密",
        "use another disk, or format it as exFAT on a computer (that empties it); decrypt an encrypted one there first",
    ),
    "E-STICK-MOUNT": Message(
        26,
        "盘读不出来",
        "the disk can not be read",
        "在电脑上检查并修复这个盘，或换一个盘",
        "check and repair it on a computer, or use another disk",
    ),
    "E-STICK-WRITE": Message(
        25,
        "盘只能读，不能写",
        "the disk can be read, but not written",
        "拨开盘上的写保护开关；或在电脑上检查并修复这个盘（NTFS 的盘请在 Windows 里正常弹出），或换一个盘",
        "move its switch against writing; or check and repair it on a computer (an NTFS disk must be ejected in Windows), or use another disk",
    ),
    "E-PULLED": Message(
        32,
        "盘被拔出，或读不出来",
        "the disk was pulled out, or can not be read",
        "插回去再来一次，会接着传；已有内容不受影响",
        "plug it in and run it again: it goes on; what is here is not harmed",
    ),
    "E-STICK-CUT": Message(
        36,
        "这个盘没有写完就被拔出",
        "the disk was pulled out before it was written to its end",
        "在写它的机器上再导出一次，会接着写",
        "export to it once more: that goes on where it stopped",
    ),
}
