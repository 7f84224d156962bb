"""First boot: `shuxiang.toml` on the card's FAT partition, a request for change that is checked, applied once, answered."""
