# Builds journal-ship as packages have it, installs it, and makes packages.
#
#   make                                  builds it
#   make install                          into /usr/local, what `make` or `cargo build --release` has built last
#   make install PREFIX=/usr DESTDIR=/tmp/package
#   make deb, make rpm                    packages, by cargo-deb and cargo-generate-rpm
#   make tarball                          a program that needs no library, with all its files
#   make dist                             the three of them and their checksums, in target/packages
#
# A configuration that is there already stays as it is.

PREFIX = /usr/local
TARGET = target
# The profile of cargo that packages are built with. Its files are in a folder of this name.
PROFILE = dist
BUILT = $(TARGET)/$(PROFILE)/journal-ship
BUILD = cargo build --profile $(PROFILE) --locked --target-dir $(TARGET)
# Whichever was built last: root, who installs, often has no cargo.
BINARY = $(or $(shell ls -t $(BUILT) $(TARGET)/release/journal-ship 2>/dev/null | head -n 1),$(BUILT))
# What `make tarball` packs is linked with musl, so that it runs on any Linux of this kind of processor.
ARCH = $(shell uname -m)
STATIC = $(ARCH)-unknown-linux-musl
STATIC_BUILT = $(TARGET)/$(STATIC)/$(PROFILE)/journal-ship
VERSION = $(shell sed -n '/^\[package\]/,/^version/s/^version = "\(.*\)"/\1/p' Cargo.toml)
# Where packages are put.
PACKAGES = $(TARGET)/packages
# The time of files in the tarball: that of the last commit, so that the same source makes the same tarball.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || date +%s)
SYSCONFDIR = /etc
UNITDIR = $(PREFIX)/lib/systemd/system
SHARE = $(DESTDIR)$(PREFIX)/share
DOC = $(SHARE)/doc/journal-ship
# Readable for the service, which is in the group systemd-journal, and for nobody else. Where the group cannot be given
# (another user installs, or there is no such group), everybody may read it.
CONFIG = $(DESTDIR)$(SYSCONFDIR)/journal-ship/config.yaml
# With systemd 253 a unit can say that its reload is over when the program says so.
SYSTEMD = $(shell systemctl --version 2>/dev/null | awk 'NR == 1 { print int($$2) }')

# Cargo knows what there is to do. Then this one is the newest, also if there was nothing.
all:
	$(BUILD)
	touch $(BUILT)

$(BUILT):
	$(BUILD)

install: $(BINARY) data generated
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/journal-ship
	install -d $(DESTDIR)$(UNITDIR)
	sed 's|/usr/bin/journal-ship|$(PREFIX)/bin/journal-ship|' config/journal-ship.service \
		> $(DESTDIR)$(UNITDIR)/journal-ship.service
	test "0$(SYSTEMD)" -lt 253 || sed -i -e 's/^Type=notify$$/Type=notify-reload/' -e '/^ExecReload=/d' \
		$(DESTDIR)$(UNITDIR)/journal-ship.service
	sed 's|/usr/bin/journal-ship|$(PREFIX)/bin/journal-ship|' config/journal-ship-verify.service \
		> $(DESTDIR)$(UNITDIR)/journal-ship-verify.service
	install -m 644 -t $(DESTDIR)$(UNITDIR) config/journal-ship-verify.timer
	test -e $(CONFIG) || { install -D -m 640 config/config.yaml $(CONFIG) && \
		sed -i 's|=/usr/share|=$(PREFIX)/share|' $(CONFIG) && \
		{ chgrp systemd-journal $(CONFIG) 2>/dev/null || chmod 644 $(CONFIG); }; }

# Files that are installed as they are.
data:
	install -D -m 644 -t $(SHARE)/journal-ship config/config.schema.json
	for folder in rules recipes prometheus; do \
		install -D -m 644 -t $(SHARE)/journal-ship/$$folder config/$$folder/*.yaml || exit; done
	install -D -m 644 -t $(SHARE)/journal-ship/grafana config/grafana/*.json
	install -D -m 644 -t $(DOC) README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT
	install -D -m 644 -t $(DOC)/docs docs/*.md
	install -D -m 644 -t $(DOC)/docs/screenshots docs/screenshots/*.png
	install -D -m 644 -t $(DOC)/docs/plots docs/plots/*.svg

# What the program writes about itself.
generated: $(BINARY)
	install -d $(SHARE)/man/man5 $(SHARE)/man/man8 $(SHARE)/bash-completion/completions $(SHARE)/zsh/site-functions \
		$(SHARE)/fish/vendor_completions.d
	$(BINARY) man > $(SHARE)/man/man8/journal-ship.8
	$(BINARY) man journal-ship.yaml > $(SHARE)/man/man5/journal-ship.yaml.5
	$(BINARY) completions bash > $(SHARE)/bash-completion/completions/journal-ship
	$(BINARY) completions zsh > $(SHARE)/zsh/site-functions/_journal-ship
	$(BINARY) completions fish > $(SHARE)/fish/vendor_completions.d/journal-ship.fish

# What the packages take from here; they are for any systemd.
layout: all
	rm -rf $(TARGET)/$(PROFILE)/package
	$(MAKE) install BINARY=$(BUILT) PREFIX=/usr SYSTEMD=252 DESTDIR=$(TARGET)/$(PROFILE)/package

deb: layout
	mkdir -p $(PACKAGES)
	CARGO_TARGET_DIR=$(TARGET) cargo deb --no-build --locked --profile $(PROFILE) --output $(PACKAGES) $(DEBFLAGS)

rpm: layout
	mkdir -p $(PACKAGES)
	cargo generate-rpm --target-dir $(TARGET) --profile $(PROFILE) --output $(PACKAGES) $(RPMFLAGS)

# One folder with bin, lib, share and etc, for /usr/local. The group of the configuration is unknown here.
NAME = journal-ship-$(VERSION)-$(ARCH)-linux
STAGE = $(PACKAGES)/stage
tarball:
	$(BUILD) --target $(STATIC)
	rm -rf $(STAGE)
	$(MAKE) install BINARY=$(STATIC_BUILT) PREFIX=/usr/local SYSTEMD=252 DESTDIR=$(STAGE)/$(NAME)
	mv $(STAGE)/$(NAME)/usr/local/* $(STAGE)/$(NAME)
	rmdir $(STAGE)/$(NAME)/usr/local $(STAGE)/$(NAME)/usr
	tar --create --directory=$(STAGE) --sort=name --mtime=@$(SOURCE_DATE_EPOCH) --owner=0 --group=0 --numeric-owner \
		--mode=u+rw,go+rX $(NAME) | gzip --best --no-name > $(PACKAGES)/$(NAME).tar.gz
	rm -rf $(STAGE)

dist:
	rm -rf $(PACKAGES)
	$(MAKE) deb rpm tarball
	cd $(PACKAGES) && sha256sum -- *.deb *.rpm *.tar.gz > SHA256SUMS

# For the check that a tag has the version's name.
version:
	@echo $(VERSION)

.PHONY: all data deb dist generated install layout rpm tarball version
