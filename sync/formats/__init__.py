"""The files that both ends write and read: release, transport file, line delta, torrent file. Pure; imports no other room."""
