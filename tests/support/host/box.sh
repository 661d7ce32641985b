#!/bin/sh
# A whole host for one test: this machine's own root, booted with the real systemd as PID 1, in namespaces and a cgroup subtree of
# its own. What it writes is thrown away; of the services of this machine none is started. $BOX/shared is /shared inside.
# Inside, host0 is 10.77.0.2; outside, in a network namespace of the box, 10.77.0.1 is whoever listens there.
# Prints "ready PID" (the box's init, as seen from outside) or "unavailable REASON".
# It lives until its standard input ends, so it dies, and is tidied away, with a test that is killed too.
set -eu
unavailable() { echo "unavailable $*"; exit 69; }

case $1 in
host)
  trap '' HUP INT TERM # Ctrl-C is for the test; this side stays to tidy up
  mount -t cgroup2 cgroup2 "$BOX/cgroup" 2>/dev/null || unavailable "cgroup2 cannot be mounted"
  C=$BOX/cgroup/journal-ship-host.$$
  mkdir "$C" 2>/dev/null || unavailable "cgroup2 is not writable"
  rc=0
  sh -c 'echo 0 >"$0/cgroup.procs" || exit 69; exec "$@"' "$C" \
    unshare --cgroup --mount --net --pid --fork --kill-child sh "$0" inside || rc=$?
  # The last processes of a killed PID namespace may take a moment to leave the cgroups.
  i=0
  until find "$C" -depth -type d -exec rmdir {} \; 2>/dev/null && [ ! -d "$C" ]; do
    i=$((i + 1)); [ $i -lt 250 ] || break; sleep 0.02
  done
  umount "$BOX/cgroup" && rm -rf --one-file-system "$BOX"
  exit $rc ;;
inside)
  read -r outer_pid _ </proc/self/stat # /proc is still the outer one, and so is this number
  mount -t proc proc /proc || unavailable "/proc cannot be mounted"
  umount -l /sys/fs/cgroup
  mount -t sysfs sysfs /sys || unavailable "/sys cannot be mounted"
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mkdir "$BOX/root"
  mount -t tmpfs tmpfs "$BOX/root"
  mkdir "$BOX/root/upper" "$BOX/root/work" "$BOX/root/all"
  R=$BOX/root/all
  mount -t overlay overlay -o "lowerdir=/,upperdir=$BOX/root/upper,workdir=$BOX/root/work" "$R" ||
    unavailable "no overlay over this root"
  rm -rf "$R"/etc/systemd/system/* "$R"/var/log/journal "$R"/etc/machine-id "$R"/usr/sbin/policy-rc.d
  rm -f "$R/usr/bin/kill" # a small system has none
  mkdir -p "$R/var/log/journal" "$R/shared" "$R/etc/systemd/system/multi-user.target.wants"
  tr -d - </proc/sys/kernel/random/uuid >"$R/etc/machine-id"
  echo "$BOX_HOSTNAME" >"$R/etc/hostname"
  cat >"$R/etc/systemd/system/network.service" <<UNIT
[Unit]
DefaultDependencies=no
Before=network-online.target
Wants=network-online.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'ip link set lo up; ip addr add 10.77.0.2/24 dev host0; ip link set host0 up'
UNIT
  ln -s ../network.service "$R/etc/systemd/system/multi-user.target.wants/"
  mount -t tmpfs -o mode=755 tmpfs /run
  mkdir /run/systemd /run/lock

  ip link set lo up
  ip addr add 10.77.0.1/32 dev lo
  # The host's end comes anew with each boot.
  while :; do
    { ip link set ve-box up && ip addr add 10.77.0.3/24 dev ve-box; } 2>/dev/null || true
    sleep 0.05
  done &
  # It ends with 133 when the host wants to boot again.
  while :; do
    rc=0
    systemd-nspawn -q -D "$R" -b --register=no --keep-unit --machine=box --network-veth --console=pipe \
      --system-call-filter=bpf --capability=CAP_BPF,CAP_NET_ADMIN --bind="$BOX/shared:/shared" \
      systemd.unit=multi-user.target </dev/null >>"$BOX/console.log" 2>&1 || rc=$?
    [ $rc = 133 ] || break
  done &
  echo "ready $outer_pid"
  cat >/dev/null # until the test lets go; then PID 1 ends, and the kernel kills whatever is left
  ;;
esac
