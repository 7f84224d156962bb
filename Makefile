# Two commands for a newcomer: `make demo` and `make test`. Both begin with `make setup`.

PYTHON ?= python3
VENV := .venv
TEST_VENV := .venv-test

# What the program runs beside itself, from Debian: roads, media, documents, speech and fonts of the sample county.
DEBIAN := rsync xdelta3 bsdiff ffmpeg poppler-utils espeak-ng librsvg2-bin fonts-noto-cjk
# What only the tests need: a browser, a filesystem in user space, the filesystems of sticks, network namespaces, mDNS cross-check, and what
# fetches other BitTorrent clients.
DEBIAN_TEST := chromium fuse3 libfuse2 e2fsprogs dosfstools exfatprogs exfat-fuse fusefat ntfs-3g util-linux mount iproute2 nftables dnsmasq-base procps avahi-daemon avahi-utils dbus mmdebstrap binutils fdisk mtools

# What builds images, and the machines in which they are tried: PCs (from BIOS and UEFI) and ARM boards.
DEBIAN_IMAGE := mmdebstrap arch-test dosfstools e2fsprogs fdisk mtools util-linux xz-utils qemu-user-static
DEBIAN_IMAGE_TEST := qemu-system-x86 qemu-system-arm qemu-utils ovmf udhcpc

# Continuous integration runs the slow tests as well.
MARKS := $(if $(CI),-m "not machine",-m "not slow and not machine")
JOBS ?= 2

# What `make image` builds: pc or rpi, box or hub.
BOARD ?= pc
ROLE ?= box

# Whom `make package` builds for: amd64 or arm64.
ARCH ?= $(shell dpkg --print-architecture)

.PHONY: setup setup-test demo test test-slow check format bench docs lock package image image-test debian debian-test

setup: debian $(VENV)/.stamp

debian:
	@./tools/debian-packages $(DEBIAN)

debian-test:
	@./tools/debian-packages $(DEBIAN) $(DEBIAN_TEST)
	@./tools/debian13-clients build/debian13
	@./tools/name-clients build/name-clients
	@./tools/debian13-root build/debian13-root

$(VENV)/.stamp: requirements.txt requirements-build.txt pyproject.toml
	@./tools/make-venv $(PYTHON) $(VENV) requirements.txt

$(TEST_VENV)/.stamp: requirements-test.txt requirements-build.txt pyproject.toml
	@./tools/make-venv $(PYTHON) $(TEST_VENV) requirements-test.txt

setup-test: setup debian-test $(TEST_VENV)/.stamp

demo: setup
	@$(VENV)/bin/shuxiang demo

test: setup-test check
	$(TEST_VENV)/bin/python -m pytest -n $(JOBS) $(MARKS)

test-slow: setup-test
	$(TEST_VENV)/bin/python -m pytest -n $(JOBS) -m slow

check: setup-test
	$(TEST_VENV)/bin/ruff format --check .
	$(TEST_VENV)/bin/ruff check .
	$(TEST_VENV)/bin/mypy

format:
	$(TEST_VENV)/bin/ruff format .
	$(TEST_VENV)/bin/ruff check --fix .

bench: setup-test
	$(TEST_VENV)/bin/python tests/bench/run.py

docs: setup-test
	$(TEST_VENV)/bin/python docs/make_pictures.py

# New versions with hashes and without addresses.
lock:
	@./tools/lock-requirements

# The Debian package, in dist/: for offline installation on any Debian 13 machine.
package: setup
	@$(VENV)/bin/shuxiang image package --arch $(ARCH)

# The image of a card or disk, in build/images (root).
image: setup
	@./tools/debian-packages $(DEBIAN_IMAGE)
	@$(VENV)/bin/shuxiang image build --board $(BOARD) --role $(ROLE)

# Images that were built, started in QEMU: minutes each, as every instruction is emulated.
image-test: setup-test
	@./tools/debian-packages $(DEBIAN_IMAGE) $(DEBIAN_IMAGE_TEST)
	$(TEST_VENV)/bin/python -m pytest -m machine tests/machines
