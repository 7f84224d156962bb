"""The words of what is wrong with a `shuxiang.toml` or with what it asks for; see `catalog.messages`."""

from __future__ import annotations

from catalog.message import Message

PRESEED: dict[str, Message] = {
    "E-PRESEED": Message(
        3,
        "shuxiang.toml 有错，什么都没有改动",
        "shuxiang.toml is wrong, and nothing was changed",
        "按上面每一行改正，再试一次",
        "correct each line above and try again",
    ),
    "E-FILE-EXISTS": Message(
        3,
        "已有这个文件",
        "this file exists already",
        "换一个文件名，或先删掉它",
        "use another name, or remove it first",
    ),
    "E-PRESEED-MISSING": Message(
        3,
        "没有 shuxiang.toml",
        "there is no shuxiang.toml",
        "用 shuxiang image preseed 做一个，放在启动分区的最上层",
        "make one with shuxiang image preseed and put it at the top of the boot partition",
    ),
    "E-PRESEED-ENCODING": Message(
        3,
        "文件不是文本，或编码认不出",
        "the file is no text, or its encoding is not known",
        "用记事本打开，另存为 UTF-8",
        "open it in Notepad and save it as UTF-8",
    ),
    "E-PRESEED-CUT": Message(
        3,
        "文件不完整，像是没有写完",
        "the file is cut off, as if it had not been written to its end",
        "重新复制整个文件，安全弹出后再拔卡",
        "copy the whole file again and eject the card before pulling it",
    ),
    "E-PRESEED-LINE": Message(
        3,
        "这一行看不懂",
        "this line means nothing",
        '写成 名称 = "值"；不要的行前面加 #',
        'write key = "value"; put # before a line that is not wanted',
    ),
    "E-PRESEED-VALUE": Message(
        3,
        "这一项的值读不出来",
        "this value can not be read",
        "检查引号和括号是否成对",
        "check that quotes and brackets come in pairs",
    ),
    "E-PRESEED-KEY": Message(
        3,
        "没有这一项",
        "there is no such key",
        "检查拼写，或放到它自己的 [表] 下面；不要就删去这一行",
        "check its spelling, or put it below its own [table]; else remove the line",
    ),
    "E-PRESEED-TWICE": Message(
        3, "这一项写了两次", "this key is given twice", "只留一行", "keep one of the lines"
    ),
    "E-PRESEED-TYPE": Message(
        3, "这一项的值不合要求", "this value is not what belongs here", "照要求改写", "write it as expected"
    ),
    "E-PRESEED-CODE": Message(
        3,
        "不认得这个词",
        "this word is not known",
        "用词表里的名称或代码",
        "use a label or a code of the vocabulary",
    ),
    "E-PRESEED-PASSWORD": Message(
        3,
        "密码的长度不对",
        "the password has a wrong length",
        "用 8 到 63 个字符",
        "use 8 to 63 characters",
    ),
    "E-PRESEED-WIFI": Message(
        3,
        "无线网络的名称或密码不对",
        "name or password of the wireless network can not be right",
        '名称 1 到 32 字节；密码 8 到 63 个字符，没有密码写 ""',
        'the name has 1 to 32 bytes, the password 8 to 63 characters; "" for an open network',
    ),
    "E-PRESEED-ADDRESS": Message(
        3,
        "地址不对",
        "the address is wrong",
        "照例子改写；网关要在固定地址的网段里",
        "write it as in the example; a gateway lies in the network of the fixed address",
    ),
    "E-PRESEED-ROOT": Message(
        3,
        "信任根或指纹不对",
        "trust root or fingerprint is wrong",
        "核对县中心恢复单上的指纹，或重新复制 1.root.json",
        "check the fingerprint on the hub's sheet, or copy 1.root.json again",
    ),
    "E-PRESEED-NEED": Message(3, "缺少这一项", "this key is missing", "补上这一行", "add this line"),
    "E-PRESEED-KEPT": Message(
        3,
        "这里的密码早已收走，这台机器上没有它",
        "this password was taken out of the file before, and this machine does not have it",
        '把 "*" 换成密码',
        'put the password in place of "*"',
    ),
    "E-PRESEED-ROLE": Message(
        3,
        "这台机器已是另一种角色",
        "this machine has the other role already",
        "改回原来的角色，或换一张新卡、一个空的数据盘",
        "write the old role again, or use a new card and an empty data disk",
    ),
    "E-PRESEED-COUNTY": Message(
        3,
        "这台书箱属于另一个县中心",
        "this box belongs to another hub",
        "核对指纹；确要换县中心，请用新卡和空的数据盘",
        "check the fingerprint; to change the hub use a new card and an empty data disk",
    ),
    "E-PRESEED-ROWS": Message(
        10,
        "有的行有误，这些学校没有做",
        "some rows are wrong, and nothing was made for these schools",
        "按上面每一行改正名单，再运行一次；做好的不会改动",
        "correct the list and run it again: what is made stays as it is",
    ),
    "E-PRESEED-SHEET": Message(
        0,
        "名单里没有找到表头行",
        "no header row was found in the list of schools",
        "表头要有“学校名称”，再加学校标识码、年级等列",
        "the header needs a column for the name, and others such as code and grades",
    ),
    "E-PRESEED-DOUBLE": Message(
        0,
        "另一行已有这个名称或代码",
        "another row has this name or code",
        "每台机器的名称和代码都要不同",
        "each machine needs a name and a code of its own",
    ),
    "E-PRESEED-PUNCTUATION": Message(
        0,
        "中文标点已按英文标点读",
        "Chinese punctuation was read as its ASCII form",
        "不用处理",
        "nothing to do",
    ),
    "E-PRESEED-QUOTES": Message(
        0,
        "值没有加引号，已照原样读",
        "the value has no quotes and was read as it stands",
        "不用处理",
        "nothing to do",
    ),
    "E-PRESEED-UNUSED": Message(
        0,
        "这个角色用不到这一项，已略过",
        "this role does not use the key: left aside",
        "不用处理",
        "nothing to do",
    ),
}
