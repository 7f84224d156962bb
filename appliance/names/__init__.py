"""The word that children type: names claimed and answered on the local network by mDNS, LLMNR and NetBIOS."""
