"""The words of what is wrong with the disk that a machine keeps its content on; see `catalog.messages`."""

from __future__ import annotations

from catalog.message import Message

DISKS: dict[str, Message] = {
    "E-DATA-MISSING": Message(
        20,
        "找不到存放内容的数据盘",
        "the data disk that holds the content is missing",
        "关机，把数据盘的线插紧（换一个 USB 口也行），再开机；盘坏了就换一个新盘，内容会重新同步",
        "switch off, plug the data disk in firmly (another USB port will do), switch on; if it is broken use a new one, and the content comes again",
    ),
    "E-DATA-DAMAGED": Message(
        20,
        "数据盘已损坏，自动修复没有成功",
        "the data disk is damaged and could not be repaired",
        "先关机再开机试一次；还是这样，就换一个盘（或重新写卡），内容会重新同步",
        "switch off and on once; if this stays, use another disk (or write the card anew), and the content comes again",
    ),
    "E-DATA-LOST": Message(
        20,
        "数据盘修复以后，书箱的内容和身份找不到了",
        "after its repair the data disk has lost this machine's content and identity",
        "不要再往这个盘里写东西，交给技术员：文件可能在 lost+found 里；不要了，就换一个盘或重新写卡",
        "write nothing to this disk and ask a technician: its files may be in lost+found; if they are not wanted, use another disk or write the card anew",
    ),
    "E-DATA-TWO": Message(
        20,
        "插着不止一个数据盘，不知道该用哪一个",
        "there is more than one data disk, and it is not known which one to use",
        "关机，只留下要用的那一个，再开机；原来没有用过数据盘的，全部拔掉也能用",
        "switch off, leave only the one to be used, switch on; a machine that never used one works with all of them out",
    ),
    "E-DATA-KIND": Message(
        20,
        "数据盘的格式不能用",
        "the data disk has a filesystem that cannot be used",
        "关机，拔掉它，再开机；要用它，先在县中心的“制盘”页做成数据盘（ext4，卷标 shuxiang-data）",
        "switch off, pull it out, switch on; to use it, make it into a data disk on the hub's page first (ext4, label shuxiang-data)",
    ),
    "E-DATA-SMALL": Message(
        20,
        "数据盘放不下原来的内容，仍用卡上的",
        "the data disk is too small for what is here: the card's own content is used",
        "换一个更大的数据盘",
        "use a larger data disk",
    ),
    "E-DATA-CARD-SMALL": Message(
        20,
        "这张卡比镜像小",
        "the card is smaller than the image",
        "换一张更大的卡，重新写",
        "write the image to a larger card",
    ),
    "E-DATA-CARD": Message(
        20,
        "卡上的数据分区坏了，内容在数据盘上，还能用；开机设置（如无线密码）没有保住",
        "the card's own data partition is damaged: the content is on the data disk and served, settings such as the Wi-Fi password are not kept",
        "尽快换一张卡重新写，填好 shuxiang.toml",
        "write a new card with shuxiang.toml soon",
    ),
    "E-DATA-GROW": Message(
        20,
        "卡的数据分区没能扩大",
        "the card's data partition could not be enlarged",
        "内容照常能用；下次开机会再试",
        "what is here is served; the next start tries again",
    ),
    "E-DATA-REPAIRED": Message(
        20,
        "数据盘有损坏，已经修好；坏掉的内容会重新同步",
        "the data disk was damaged and is repaired; content that was harmed is fetched again",
        "常常这样，就换一个盘",
        "if this happens often, use another disk",
    ),
}
