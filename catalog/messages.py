"""The words of every refusal: code -> exit status, what is wrong, what to do, in both languages.

Exit status: 2 usage, 3 config, 4 doctor, 10-19 content refused, 20-29 storage, 30-39 road (try later). Findings of an
ingest have exit status 0 and stand in `catalog.finding_messages`; what is said of sticks in `catalog.stick_messages`,
of `shuxiang.toml` in `catalog.preseed_messages`, of cards in `catalog.card_messages`, of data disks in `catalog.disk_messages`, of Wi-Fi in
`catalog.wireless_messages`, of building images in `catalog.image_messages`.
"""

from __future__ import annotations

from catalog.card_messages import CARDS
from catalog.disk_messages import DISKS
from catalog.finding_messages import FINDINGS
from catalog.image_messages import IMAGES
from catalog.message import Message
from catalog.preseed_messages import PRESEED
from catalog.stick_messages import STICKS
from catalog.wireless_messages import WIRELESS

__all__ = ["MESSAGES", "Message"]

MESSAGES: dict[str, Message] = FINDINGS | {
    **CARDS,
    **DISKS,
    **IMAGES,
    **STICKS,
    **PRESEED,
    **WIRELESS,
    "E-USAGE": Message(2, "命令写法不对", "wrong usage", "请看 --help", "see --help"),
    "E-STATE-EXISTS": Message(
        3,
        "该状态目录已初始化",
        "this state directory is already initialised",
        "换一个 --state，或直接使用它",
        "use another --state, or go on with this one",
    ),
    "E-STATE-MISSING": Message(
        3,
        "状态目录尚未初始化",
        "this state directory is not initialised",
        "先运行 box init 或 hub init",
        "run box init or hub init first",
    ),
    "E-STATE-ROLE": Message(
        3,
        "状态目录属于另一种角色",
        "this state directory has the other role",
        "用 --state 指明正确的目录",
        "point --state at the right directory",
    ),
    "E-STATE-VERSION": Message(
        3,
        "状态由更新版本的软件写成",
        "the state was written by a newer version of the software",
        "升级本机软件",
        "upgrade the software on this machine",
    ),
    "E-STATE-USER": Message(
        3,
        "状态目录属于另一个用户",
        "the state directory belongs to another user",
        "用该用户或 root 运行",
        "run as that user or as root",
    ),
    "E-BUNDLE": Message(
        3,
        "没有这个资源包",
        "there is no such bundle",
        "用 box status 或 hub bundle list 查看",
        "see box status or hub bundle list",
    ),
    "E-BOX": Message(
        3,
        "县中心没有给这台书箱分配过",
        "this hub has assigned nothing to the box",
        "先用 hub assign 分配，或用 --bundle 指定资源包",
        "hub assign first, or name bundles with --bundle",
    ),
    "E-PORT": Message(3, "端口用不了", "the port can not be used", "换一个 --port", "choose another --port"),
    "E-BUNDLE-LATER": Message(
        3,
        "分配给书箱的这个资源包还没有发布，没有写到盘上",
        "this bundle is assigned to a box but not yet published: it is not on the disk",
        "发布以后，再写一次这个盘",
        "publish it, then write the disk again",
    ),
    "E-BUNDLE-EXISTS": Message(
        3, "已有这个资源包", "this bundle exists already", "换一个标识", "choose another id"
    ),
    "E-SERVICE": Message(3, "服务没有起来", "a service did not start", "看它的输出", "see what it printed"),
    "E-CONFIG": Message(3, "配置有误", "the configuration is wrong", "改正该项", "correct that key"),
    "E-BUILD": Message(
        3,
        "构建的一步没有成功",
        "a step of the build failed",
        "运行所示的命令看原因",
        "run the command that is shown to see why",
    ),
    "E-TOOL": Message(
        3,
        "缺少所需程序",
        "a needed program is missing",
        "安装它（apt-get install）",
        "install it (apt-get install)",
    ),
    "E-CLOCK": Message(
        3,
        "本机时钟不对，不能签名",
        "the clock of this machine is wrong, so nothing is signed",
        "校准时钟后重试",
        "set the clock and try again",
    ),
    "E-KEYS": Message(
        3,
        "签名密钥缺失或损坏",
        "the signing keys are missing or damaged",
        "从备份恢复 keys 目录，或用恢复文件",
        "restore the keys folder from a backup, or use the recovery file",
    ),
    "E-PASSPHRASE": Message(
        3,
        "恢复文件打不开",
        "the recovery file does not open",
        "核对纸上的口令与文件",
        "check the passphrase on the sheet and the file",
    ),
    "E-RECORD": Message(
        10,
        "资源记录不合规范",
        "the record is not valid",
        "改正该字段后重试",
        "correct that field and try again",
    ),
    "E-RESOURCE": Message(
        10,
        "目录里没有这个资源",
        "the catalogue has no such resource",
        "核对资源标识",
        "check the resource id",
    ),
    "E-DEMO": Message(
        10, "示例县检查没有通过", "the sample county's check failed", "请报告这个问题", "please report this"
    ),
    "E-MANIFEST": Message(
        10,
        "资源包清单不合规范",
        "the manifest is not valid",
        "请县中心重新发布",
        "ask the hub to publish again",
    ),
    "E-BOX-FILE": Message(
        10,
        "县中心给本机的设置文件不合规范",
        "the hub's file for this box is not valid",
        "请县中心重新分配（hub assign）；原有设置照旧",
        "ask the hub to assign it again; the settings stay as they were",
    ),
    "E-CATALOG": Message(
        10,
        "发布目录不合规范",
        "the release catalogue is not valid",
        "请县中心重新发布",
        "ask the hub to publish again",
    ),
    "E-TRANSPORT": Message(
        10,
        "传输文件不合规范",
        "the transport file is not valid",
        "照常整份传送；请县中心重新发布",
        "files travel whole instead; ask the hub to publish again",
    ),
    "E-DELTA": Message(
        14,
        "清单的增量文件不合规范或不适用",
        "the delta of a manifest is not valid or does not fit",
        "改为整份传送；反复出现时请县中心重新发布",
        "the file travels whole instead; if it comes again, ask the hub to publish again",
    ),
    "E-PATCH": Message(
        14,
        "补丁用不上",
        "the patch does not work",
        "改为整份传送",
        "the whole file is fetched instead",
    ),
    "E-SIGNATURE": Message(
        11,
        "签名不对",
        "the signature is wrong",
        "检查发布方与信任根；旧内容继续可用",
        "check publisher and trust root; the old state keeps serving",
    ),
    "E-ROLLBACK": Message(
        12,
        "来的状态比已有的旧",
        "this state is older than the accepted one",
        "换一个更新的来源；旧内容继续可用",
        "use a newer source; the old state keeps serving",
    ),
    "E-EXPIRED": Message(
        13,
        "签名已过期",
        "the signed state has expired",
        "请县中心重新发布，并核对时钟",
        "ask the hub to publish again, and check the clock",
    ),
    "E-HASH": Message(
        14,
        "内容与其校验值不符",
        "the bytes do not have their hash",
        "换一条通道再试；错误内容已丢弃",
        "try another road; the wrong bytes were discarded",
    ),
    "E-TORRENT": Message(
        14,
        "种子文件不合规范",
        "the torrent file is not valid",
        "内容会改走其他通道；请县中心重新发布",
        "the content takes another road; ask the hub to publish again",
    ),
    "E-SIZE": Message(14, "长度不符", "the length is wrong", "换一条通道再试", "try another road"),
    "E-UPLOAD": Message(
        10,
        "没有收到文件",
        "no file was received",
        "选好文件再上传",
        "choose the files and send them again",
    ),
    "E-NAME": Message(15, "名称不安全", "the name is not safe", "改名后重试", "rename it and try again"),
    "E-FINGERPRINT": Message(
        11,
        "信任根与指纹不符",
        "the trust root does not have this fingerprint",
        "核对县中心打印的指纹",
        "check the fingerprint on the hub's sheet",
    ),
    "E-VERSION": Message(
        16,
        "格式版本较新",
        "the format is of a newer version",
        "升级本机软件",
        "upgrade the software on this machine",
    ),
    "E-SOURCE": Message(
        2, "找不到要入库的内容", "the source to ingest is not there", "核对路径", "check the path"
    ),
    "E-SHEET": Message(
        10,
        "清单无法打开",
        "the list cannot be opened",
        "在 WPS 或 Excel 中另存为 .xlsx（不加密码）后重试",
        "save it as .xlsx without a password and try again",
    ),
    "E-ENCODING": Message(
        10,
        "文字编码不对，会成为乱码",
        "the text encoding is wrong",
        "另存为 UTF-8 或 .xlsx 后重试",
        "save it as UTF-8 or .xlsx and try again",
    ),
    "E-HEADER": Message(
        10,
        "没有找到表头行",
        "no header row was found",
        "表头至少要有“标题”或“文件”，并有“年级”“学科”等列",
        "the header needs a title or file column besides others such as grade and subject",
    ),
    "E-ARCHIVE": Message(
        10,
        "压缩包损坏或格式不支持",
        "the archive is damaged or of an unknown kind",
        "解压成文件夹，或重新打成 .zip",
        "unpack it into a folder, or pack it again as .zip",
    ),
    "E-ARCHIVE-LIMIT": Message(
        10,
        "压缩包展开后过大，已拒绝",
        "the archive would unpack to far too much",
        "核对来源；确需入库请先解压成文件夹",
        "check where it comes from; unpack it into a folder if it is right",
    ),
    "E-ARCHIVE-LOCKED": Message(
        10,
        "压缩包有密码",
        "the archive has a password",
        "去掉密码后重试",
        "remove the password and try again",
    ),
    "E-DAMAGED": Message(
        20,
        "发现损坏的数据块",
        "damaged blobs were found",
        "运行 box verify --repair",
        "run box verify --repair",
    ),
    "E-DISK-FULL": Message(
        21,
        "磁盘已满",
        "the disk is full",
        "腾出空间或减少订阅；已有内容不受影响",
        "free space or subscribe to less; what is here is not harmed",
    ),
    "E-IO": Message(
        22, "读写磁盘出错", "the disk reports an error", "检查磁盘和连接", "check the disk and its cable"
    ),
    "E-READ-ONLY": Message(23, "磁盘只读", "the disk is read-only", "检查磁盘", "check the disk"),
    "E-ACCESS": Message(
        25,
        "没有读写这个位置的权限",
        "this place may not be read or written",
        "换一个位置，或更改它的权限",
        "use another place, or change its permissions",
    ),
    "E-INDEX": Message(
        24,
        "检索索引缺失或损坏",
        "the search index is missing or damaged",
        "运行 box reindex 重建",
        "run box reindex to build it anew",
    ),
    "E-INTERNAL": Message(
        29,
        "程序出错，工作已停下",
        "the program made a mistake and stopped this work",
        "可以再试一次；仍不行请把日志交给技术员",
        "try once more; if it fails again give the log to a technician",
    ),
    "E-BUSY": Message(30, "另一项工作正在进行", "another run is at work", "稍后再试", "try later"),
    "E-PAUSED": Message(
        31, "同步已暂停", "sync is paused", "在页面上恢复，或稍后再试", "resume it on the page, or try later"
    ),
    "E-BUDGET": Message(
        31,
        "本月流量已用完",
        "the month's budget for the line is used up",
        "下月会自动继续；也可用 U 盘，或在同步策略中提高限额",
        "it goes on next month; use a stick, or raise the budget in the policy",
    ),
    "E-ROAD": Message(
        32, "通道不通", "the road is down", "稍后再试，或换一条通道", "try later, or another road"
    ),
    "E-ROAD-SHORT": Message(
        33,
        "通道中途断开",
        "the road stopped in mid-file",
        "再次同步会接着传",
        "the next run goes on where it stopped",
    ),
    "E-PORTAL": Message(
        34,
        "收到网页而不是数据（可能要先登录网络）",
        "a web page came instead of data (a login portal?)",
        "登录网络后重试",
        "log in to the network and try again",
    ),
    "E-ROAD-MISSING": Message(
        35,
        "来源处没有该文件",
        "the source does not have this file",
        "稍后再试，或换一个来源",
        "try later, or another source",
    ),
    "E-ROAD-AUTH": Message(
        38,
        "来源拒绝了口令",
        "the source refused the password",
        "核对配置中的口令和地址",
        "check the password and the address in the configuration",
    ),
    "E-ROAD-FULL": Message(
        39,
        "来源的连接数已满",
        "the source has no free connection",
        "稍后会自动再试",
        "try later",
    ),
    "E-NO-TREE": Message(
        36,
        "该地址没有书箱发布树",
        "there is no published tree at this address",
        "核对地址",
        "check the address",
    ),
    "E-PLAIN-FOLDER": Message(
        36,
        "文件夹里是普通文件，不是发布树；书箱只收县中心签名的内容",
        "plain files and no published tree: a box takes only what a hub has signed",
        "在县中心用 hub ingest 入库并发布，或用 box export 拷出的 U 盘",
        "hub ingest and publish them at the county, or use a stick written by box export",
    ),
    "E-ROAD-DATA": Message(
        37,
        "收到的不是所要的数据",
        "something else than the data came",
        "核对地址，或换一条通道",
        "check the address, or try another road",
    ),
}
