# Installs what `cargo build --release` has built.
#
#   make install                          into /usr/local
#   make install PREFIX=/usr DESTDIR=/tmp/package
#   make deb, make rpm                    packages, by cargo-deb and cargo-generate-rpm
#
# A configuration that is there already stays as it is.

PREFIX = /usr/local
TARGET = target
BINARY = $(TARGET)/release/journal-ship
SYSCONFDIR = /etc
UNITDIR = $(PREFIX)/lib/systemd/system
SHARE = $(DESTDIR)$(PREFIX)/share
# Readable for the service, which is in the group systemd-journal, and for nobody else. Where the group cannot be given
# (another user installs, or there is no such group), everybody may read it.
CONFIG = $(DESTDIR)$(SYSCONFDIR)/journal-ship/config.yaml
# With systemd 253 a unit can say that its reload is over when the program says so.
SYSTEMD = $(shell systemctl --version 2>/dev/null | awk 'NR == 1 { print int($$2) }')

all: $(BINARY)

$(TARGET)/release/journal-ship:
	cargo build --release --locked --target-dir $(TARGET)

install: $(BINARY)
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/journal-ship
	install -d $(DESTDIR)$(UNITDIR)
	sed 's|/usr/bin/journal-ship|$(PREFIX)/bin/journal-ship|' config/journal-ship.service \
		> $(DESTDIR)$(UNITDIR)/journal-ship.service
	test "0$(SYSTEMD)" -lt 253 || sed -i -e 's/^Type=notify$$/Type=notify-reload/' -e '/^ExecReload=/d' \
		$(DESTDIR)$(UNITDIR)/journal-ship.service
	test -e $(CONFIG) || { install -D -m 640 config/config.yaml $(CONFIG) && \
		{ chgrp systemd-journal $(CONFIG) 2>/dev/null || chmod 644 $(CONFIG); }; }
	install -D -m 644 -t $(SHARE)/journal-ship/rules config/rules/host.yaml config/rules/host.test.yaml config/rules/host.lies.test.yaml
	install -D -m 644 -t $(SHARE)/doc/journal-ship README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT \
		docs/*.md
	install -d $(SHARE)/man/man1 $(SHARE)/bash-completion/completions $(SHARE)/zsh/site-functions \
		$(SHARE)/fish/vendor_completions.d
	$(BINARY) man > $(SHARE)/man/man1/journal-ship.1
	$(BINARY) completions bash > $(SHARE)/bash-completion/completions/journal-ship
	$(BINARY) completions zsh > $(SHARE)/zsh/site-functions/_journal-ship
	$(BINARY) completions fish > $(SHARE)/fish/vendor_completions.d/journal-ship.fish

# What the packages take from here; they are for any systemd.
layout: $(BINARY)
	$(MAKE) install BINARY=$(BINARY) PREFIX=/usr SYSTEMD=252 DESTDIR=$(TARGET)/release/package

deb: layout
	CARGO_TARGET_DIR=$(TARGET) cargo deb --no-build --locked $(DEBFLAGS)

rpm: layout
	cargo generate-rpm --target-dir $(TARGET) $(RPMFLAGS)

.PHONY: all deb install layout rpm
