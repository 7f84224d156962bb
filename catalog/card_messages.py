"""The words of what is wrong with an image, or with a card or disk that one is written to; see `catalog.messages`."""

from __future__ import annotations

from catalog.message import Message

CARDS: dict[str, Message] = {
    "E-CARD-NONE": Message(
        3,
        "没有这张卡或这个盘",
        "there is no such card or disk",
        "插好，再用 image write --list 看它的名字",
        "plug it in and see its name with image write --list",
    ),
    "E-CARD-PART": Message(
        3,
        "这是盘上的一个分区，不是整张卡",
        "this is a partition, not the whole card",
        "写整张卡，例如 /dev/sdb 而不是 /dev/sdb1",
        "name the whole card: /dev/sdb and not /dev/sdb1",
    ),
    "E-CARD-SYSTEM": Message(
        3,
        "这是本机的系统盘，不能写",
        "this is the disk of this machine's own system and is never written",
        "换成插在读卡器里的卡",
        "name the card in the reader",
    ),
    "E-CARD-MOUNTED": Message(
        3,
        "这张卡或这个盘正在使用",
        "this card or disk is in use",
        "先卸下（umount）它的所有分区，再来一次",
        "unmount all its partitions first (umount)",
    ),
    "E-CARD-FIXED": Message(
        3,
        "这是装在机器里的盘，不是可以拔下的卡",
        "this disk is built in and not one that can be taken out",
        "确实要写它，就加 --yes-disk；上面的内容会全部消失",
        "add --yes-disk if it is meant; all it holds will be gone",
    ),
    "E-CARD-STOPPED": Message(
        3,
        "按要求停下了，卡没有写完，不能启动",
        "stopped as asked: the card is not written to its end and starts no machine",
        "再写一次",
        "write it again",
    ),
    "E-CARD-SMALL": Message(
        27,
        "卡太小，什么都没有写",
        "the card is too small, and nothing was written",
        "换一张大一些的卡",
        "use a larger one",
    ),
    "E-CARD-BAD": Message(
        26,
        "卡上有读写不了的坏块，没有写成",
        "the card has a place that can not be read or written, and was not finished",
        "换一张卡，这张不要再用",
        "use another card, and this one no more",
    ),
    "E-CARD-PULLED": Message(
        28,
        "卡被拔出，或读卡器里没有卡；没有写完，不能启动",
        "the card was pulled out, or the reader is empty: it is not written to its end and starts no machine",
        "插好，再写一次",
        "put it in and write it again",
    ),
    "E-CARD-WRITER": Message(
        3,
        "本机的写卡服务没有运行",
        "the service that writes cards does not run on this machine",
        "请技术员看 systemctl status shuxiang-writer.socket",
        "see systemctl status shuxiang-writer.socket",
    ),
    "E-IMAGE-NONE": Message(3, "没有这个镜像文件", "there is no such image", "核对路径", "check the path"),
    "E-IMAGE": Message(
        10,
        "这不是可用的镜像",
        "this is no usable image",
        "重新拷贝镜像文件，或重新做一个（image build）",
        "copy the image again, or build it anew (image build)",
    ),
    "E-IMAGE-NOTE": Message(
        10,
        "镜像旁边没有可用的说明文件（.json）",
        "the description (.json) beside the image is missing or wrong",
        "把镜像和它的 .json 一起拷来",
        "copy the image together with its .json",
    ),
    "E-IMAGE-HASH": Message(
        14,
        "镜像与说明文件里的校验值不符；卡不能启动",
        "the image is not what its description says; a card written from it starts no machine",
        "重新拷贝镜像和它的 .json",
        "copy the image and its .json again",
    ),
    "E-IMAGE-PROMISE": Message(
        14,
        "镜像有没做到的地方",
        "the image does not keep all its promises",
        "看上面没有通过的行，改好后重新做镜像",
        "see the lines above that failed, and build it anew",
    ),
}
