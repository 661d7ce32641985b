//! The host that the benchmark's journal comes from: fifty units, by how much each of them logs.

/// How an entry reached journald, which decides the fields that it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Standard output of a service.
    Stdout,
    /// `/dev/log`.
    Syslog,
    /// The native socket, as a program's own journal library writes it.
    Native,
    /// The native socket, as Docker's journald driver writes it.
    Docker,
    /// The native socket, as systemd and its daemons write it.
    Systemd,
    /// The kernel's ring buffer; such entries belong to no unit.
    Kernel,
}

/// What a unit's lines look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// An HTTP access log in the combined format.
    Access,
    /// `key=value` pairs.
    Logfmt,
    /// A JSON object.
    Json,
    /// Sentences with numbers in them.
    Prose,
}

/// One unit of the host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unit {
    /// `_SYSTEMD_UNIT`.
    pub(crate) name: &'static str,
    /// `_COMM` and `SYSLOG_IDENTIFIER`.
    pub(crate) comm: &'static str,
    /// `_CMDLINE`; its first word is `_EXE`.
    pub(crate) cmdline: &'static str,
    pub(crate) source: Source,
    pub(crate) style: Style,
    /// `_UID` and `_GID`.
    pub(crate) uid: u32,
    /// Processes that log at the same time.
    pub(crate) workers: u64,
    /// Whether a process lives for a few lines only, as those of sshd and cron do.
    pub(crate) short_lived: bool,
}

const fn unit(
    name: &'static str,
    comm: &'static str,
    cmdline: &'static str,
    source: Source,
    style: Style,
    uid: u32,
    workers: u64,
) -> Unit {
    Unit { name, comm, cmdline, source, style, uid, workers, short_lived: false }
}

const fn short_lived(unit: Unit) -> Unit {
    Unit { short_lived: true, ..unit }
}

/// The kernel: no unit, no process.
pub(crate) const KERNEL: Unit = unit("", "kernel", "", Source::Kernel, Style::Prose, 0, 1);

/// A command line past the 512 bytes from which on journald compresses, as Java services have them.
const JAVA: &str = "/usr/lib/jvm/java-17-openjdk-amd64/bin/java -Xms2g -Xmx2g -server -XX:+UseG1GC \
    -XX:MaxGCPauseMillis=200 -XX:InitiatingHeapOccupancyPercent=45 -XX:+ExplicitGCInvokesConcurrent \
    -XX:+HeapDumpOnOutOfMemoryError -XX:HeapDumpPath=/var/lib/ledger/heap.hprof -Djava.awt.headless=true \
    -Dfile.encoding=UTF-8 -Djava.net.preferIPv4Stack=true -Dlogback.configurationFile=/etc/ledger/logback.xml \
    -Dspring.config.additional-location=file:/etc/ledger/ -Dspring.profiles.active=production,metrics \
    -Dcom.sun.management.jmxremote.port=9010 -Dcom.sun.management.jmxremote.authenticate=false \
    -jar /opt/ledger/ledger-service-4.12.3.jar --server.port=8085 --server.address=127.0.0.1";

use Source::{Docker, Native, Stdout, Syslog, Systemd};
use Style::{Access, Json, Logfmt, Prose};

/// The units, the one that logs most first.
#[rustfmt::skip]
pub(crate) const UNITS: [Unit; 50] = [
    unit("checkout-api.service", "checkout-api", "/opt/checkout/bin/checkout-api --config /etc/checkout/api.toml", Stdout, Json, 991, 4),
    unit("docker.service", "dockerd", "/usr/bin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock", Docker, Json, 0, 1),
    unit("payments.service", "payments", "/opt/payments/bin/payments serve --listen 127.0.0.1:8082 --workers 8", Native, Logfmt, 990, 8),
    unit("haproxy.service", "haproxy", "/usr/sbin/haproxy -Ws -f /etc/haproxy/haproxy.cfg -p /run/haproxy.pid -S /run/haproxy-master.sock", Syslog, Access, 112, 4),
    unit("inventory.service", "inventory", "/opt/inventory/bin/inventory --database postgres:///inventory", Native, Logfmt, 989, 4),
    unit("nginx.service", "nginx", "/usr/sbin/nginx -g daemon on; master_process on;", Syslog, Access, 33, 6),
    unit("postgresql@15-main.service", "postgres", "/usr/lib/postgresql/15/bin/postgres -D /var/lib/postgresql/15/main -c config_file=/etc/postgresql/15/main/postgresql.conf", Stdout, Prose, 110, 8),
    unit("init.scope", "systemd", "/lib/systemd/systemd --system --deserialize 34", Systemd, Prose, 0, 1),
    unit("search.service", "search", "/opt/search/bin/search --index /srv/search/index --threads 4", Native, Json, 988, 2),
    unit("ledger.service", "java", JAVA, Stdout, Logfmt, 987, 1),
    unit("k3s.service", "k3s-server", "/usr/local/bin/k3s server", Stdout, Logfmt, 0, 1),
    short_lived(unit("ssh.service", "sshd", "sshd: unknown [priv]", Syslog, Prose, 0, 1)),
    unit("mail-relay.service", "mail-relay", "/opt/mail-relay/bin/mail-relay --spool /var/spool/mail-relay", Native, Logfmt, 986, 3),
    unit("prometheus.service", "prometheus", "/usr/bin/prometheus --storage.tsdb.path=/var/lib/prometheus --web.listen-address=127.0.0.1:9090", Stdout, Logfmt, 115, 1),
    short_lived(unit("cron.service", "CRON", "/usr/sbin/CRON -f", Syslog, Prose, 0, 1)),
    unit("user@1000.service", "gnome-shell", "/usr/bin/gnome-shell", Stdout, Prose, 1000, 3),
    unit("dovecot.service", "dovecot", "/usr/sbin/dovecot -F", Syslog, Prose, 118, 5),
    unit("events.service", "events", "/opt/events/bin/events --brokers 10.20.0.11:9092,10.20.0.12:9092", Native, Json, 985, 4),
    unit("postfix@-.service", "postfix/smtpd", "smtpd -n smtp -t inet -u -c -o stress= -s 2", Syslog, Prose, 117, 6),
    unit("grafana-server.service", "grafana", "/usr/share/grafana/bin/grafana server --config=/etc/grafana/grafana.ini", Stdout, Logfmt, 116, 1),
    unit("redis-server.service", "redis-server", "/usr/bin/redis-server 127.0.0.1:6379", Stdout, Prose, 113, 1),
    unit("containerd.service", "containerd", "/usr/bin/containerd", Stdout, Logfmt, 0, 1),
    unit("NetworkManager.service", "NetworkManager", "/usr/sbin/NetworkManager --no-daemon", Native, Prose, 0, 1),
    unit("systemd-logind.service", "systemd-logind", "/lib/systemd/systemd-logind", Systemd, Prose, 0, 1),
    unit("systemd-networkd.service", "systemd-network", "/lib/systemd/systemd-networkd", Systemd, Prose, 998, 1),
    unit("systemd-resolved.service", "systemd-resolve", "/lib/systemd/systemd-resolved", Systemd, Prose, 996, 1),
    unit("reports.service", "python3", "/usr/bin/python3 -m reports.worker --queue nightly --concurrency 4", Stdout, Prose, 984, 4),
    unit("gitea.service", "gitea", "/usr/local/bin/gitea web --config /etc/gitea/app.ini", Stdout, Access, 983, 1),
    unit("named.service", "named", "/usr/sbin/named -f -u bind", Syslog, Prose, 111, 1),
    unit("rabbitmq-server.service", "beam.smp", "/usr/lib/erlang/erts-13.1.5/bin/beam.smp -W w -MBas ageffcbf -MHas ageffcbf -- -root /usr/lib/erlang", Stdout, Prose, 114, 1),
    unit("minio.service", "minio", "/usr/local/bin/minio server --console-address :9001 /srv/minio", Stdout, Json, 982, 1),
    unit("thumbnails.service", "thumbnails", "/opt/thumbnails/bin/thumbnails --cache /var/cache/thumbnails", Native, Logfmt, 981, 2),
    unit("systemd-udevd.service", "(udev-worker)", "(udev-worker)", Systemd, Prose, 0, 4),
    unit("chrony.service", "chronyd", "/usr/sbin/chronyd -F 1", Syslog, Prose, 119, 1),
    unit("smartmontools.service", "smartd", "/usr/sbin/smartd -n", Syslog, Prose, 0, 1),
    unit("snmpd.service", "snmpd", "/usr/sbin/snmpd -LOw -u Debian-snmp -g Debian-snmp -f", Syslog, Prose, 120, 1),
    unit("fail2ban.service", "fail2ban-server", "/usr/bin/python3 /usr/bin/fail2ban-server -xf start", Stdout, Prose, 0, 1),
    unit("polkit.service", "polkitd", "/usr/lib/polkit-1/polkitd --no-debug", Native, Prose, 997, 1),
    unit("dbus.service", "dbus-daemon", "/usr/bin/dbus-daemon --system --address=systemd: --nofork --nopidfile --systemd-activation --syslog-only", Syslog, Prose, 100, 1),
    unit("node-exporter.service", "node_exporter", "/usr/bin/prometheus-node-exporter", Stdout, Logfmt, 115, 1),
    unit("backup.service", "restic", "/usr/bin/restic backup --json /srv /etc /home", Stdout, Json, 0, 1),
    unit("unattended-upgrades.service", "unattended-upgr", "/usr/bin/python3 /usr/share/unattended-upgrades/unattended-upgrade-shutdown --wait-for-signal", Stdout, Prose, 0, 1),
    unit("apt-daily.service", "apt.systemd.dai", "/bin/sh /usr/lib/apt/apt.systemd.daily update", Stdout, Prose, 0, 1),
    unit("certbot.service", "certbot", "/usr/bin/python3 /usr/bin/certbot -q renew", Stdout, Prose, 0, 1),
    unit("logrotate.service", "logrotate", "/usr/sbin/logrotate /etc/logrotate.conf", Stdout, Prose, 0, 1),
    unit("fstrim.service", "fstrim", "/sbin/fstrim --listed-in /etc/fstab:/proc/self/mountinfo --verbose --quiet-unsupported", Stdout, Prose, 0, 1),
    unit("accounts-daemon.service", "accounts-daemon", "/usr/libexec/accounts-daemon", Native, Prose, 0, 1),
    unit("cups.service", "cupsd", "/usr/sbin/cupsd -l", Syslog, Prose, 0, 1),
    unit("bluetooth.service", "bluetoothd", "/usr/libexec/bluetooth/bluetoothd", Syslog, Prose, 0, 1),
    unit("getty@tty1.service", "agetty", "/sbin/agetty -o -p -- \\u --noclear - linux", Syslog, Prose, 0, 1),
];
