"""The English of the pages about what leaves the hub by hand: the recovery sheet and file, sticks for boxes."""

from __future__ import annotations

AWAY_ENGLISH = {
    # recovery
    "恢复单": "Recovery sheet",
    "恢复单和恢复文件": "Recovery sheet and file",
    "恢复单和恢复文件还没有收好": "The recovery sheet and file are not put away yet",
    "主机坏了、丢了，凭它们才能重建。请打印恢复单，把恢复文件存到 U 盘。": "Only they rebuild a hub that broke or was lost. Print the sheet, keep the file on a stick.",
    "去收好": "Put them away",
    "主机坏了、丢了，凭这两样才能重建，各校书箱才认新的主机。不急在今天，收好以前首页会一直提醒。": "Only these two rebuild a hub that broke or was lost, so that the boxes follow the new one. It need not be today: the home page reminds you until it is done.",
    "谁同时拿到这两样，谁就能冒充本县中心。所以分开放，每次给出都要再输一次密码，并记在操作记录里。请在只有自己人的网络上做，最好就在主机旁边。": "Whoever has both can pretend to be this hub. So keep them apart; each is given out for your password only, and the log says so. Do it on a network of your own people, best beside the hub.",
    "打印恢复单": "Print the recovery sheet",
    "打开以后按 Ctrl+P 打印两份，装入信封，由两位负责人分别锁好。不要存成文件，不要拍照。": "When it is open, press Ctrl+P and print it twice; two people lock the copies away in envelopes. Save no file of it and take no photograph.",
    "您的登录密码": "Your password",
    "打开恢复单": "Open the sheet",
    "下载恢复文件": "Download the recovery file",
    "存到两只 U 盘上，和纸分开放。存好以后，把电脑“下载”文件夹里的那一份删掉。": "Keep it on two sticks, apart from the paper. Then delete the copy in your computer's folder of downloads.",
    "下载 recovery.json": "Download recovery.json",
    "都收好了": "Both are put away",
    "核对一遍，再从主机上删除：主机上不留，偷走主机的人也拿不到。": "They are compared once and then deleted here: whoever steals the hub does not have them either.",
    "U 盘上的 recovery.json": "recovery.json on the stick",
    "纸上“恢复口令”的最后一组（五个字符）": "The last group of the recovery passphrase on the paper (five characters)",
    "核对，并从主机上删除": "Compare, and delete them here",
    "以后再做，回到首页": "Later: back to the home page",
    "已经收好：%(when)s，%(who)s 核对过，并从这台主机上删除。": "Put away: %(when)s, compared by %(who)s, and deleted from this machine.",
    "已经不在这台主机上。": "They are on this machine no more.",
    "纸和 U 盘请分开放。主机坏了、丢了，凭这两样，各校书箱才认新的主机。少了一样，另一样就没有用。": "Keep paper and sticks apart. If the hub breaks or is lost, the boxes follow a new one only by both; one without the other is of no use.",
    "选的不是这份恢复文件，或者没有拷完整。请从 U 盘上选 recovery.json；不对就再下载一次。": "This is another file, or not all of it. Choose recovery.json on the stick; if that is wrong, download it once more.",
    "和纸上的最后一组对不上。请看纸上“恢复口令”最后的五个字符。": "This is not the last group on the paper. Look at the last five characters of the recovery passphrase.",
    "密码不对。": "The password is wrong.",
    "取恢复单被拒": "Recovery sheet refused",
    "收好恢复单和恢复文件": "Recovery sheet and file put away",
}
