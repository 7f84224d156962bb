"""The pages of box and hub. Imports only `catalog`; what it must trigger goes through `webui.operations`."""
