#!/bin/sh
# The box of one test: namespaces and a cgroup subtree of its own, in which
#   /var/log/journal is $BOX/log, /run/systemd is $BOX/run, /dev/log is journald's, /run is a tmpfs,
#   and machine id, boot id and host name are the box's.
# Prints "ready PID" (the box's init, as seen from outside) or "unavailable REASON".
# It lives until its standard input ends, so it dies, and is tidied away, with a test that is killed too.
set -eu
unavailable() { echo "unavailable $*"; exit 69; }

case $1 in
host)
  trap '' HUP INT TERM # Ctrl-C is for the test; this side stays to tidy up
  # in a mount namespace of our own: the cgroup2 tree is mounted here, wherever (and however) the machine has it
  mount -t cgroup2 cgroup2 "$BOX/cgroup" 2>/dev/null || unavailable "cgroup2 cannot be mounted"
  C=$BOX/cgroup/journal-ship-test.$$
  mkdir "$C" 2>/dev/null || unavailable "cgroup2 is not writable"
  rc=0
  sh -c 'echo 0 >"$0/cgroup.procs" || exit 69; exec "$@"' "$C" \
    unshare --cgroup --mount --pid --uts --ipc --fork --kill-child sh "$0" inside || rc=$?
  # The last processes of a killed PID namespace may take a moment to leave the cgroups.
  i=0
  until find "$C" -depth -type d -exec rmdir {} \; 2>/dev/null && [ ! -d "$C" ]; do
    i=$((i + 1)); [ $i -lt 100 ] || break; sleep 0.02
  done
  umount "$BOX/cgroup" && rm -rf --one-file-system "$BOX"
  exit $rc ;;
inside)
  read -r outer_pid _ </proc/self/stat # /proc is still the outer one, and so is this number
  mount -t proc proc /proc || unavailable "/proc cannot be mounted"
  hostname "$BOX_HOSTNAME"
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mount --bind "$BOX/machine-id" /etc/machine-id
  mount --bind "$BOX/boot-id" /proc/sys/kernel/random/boot_id
  mount --rbind /dev "$BOX/dev"
  mount -t tmpfs -o mode=755 tmpfs /dev
  for n in null zero full random urandom tty; do : >/dev/$n; mount --bind "$BOX/dev/$n" /dev/$n; done
  ln -s /proc/self/fd /dev/fd; mkdir -m 1777 /dev/shm
  ln -s /run/systemd/journal/dev-log /dev/log
  mount -t tmpfs -o mode=755 tmpfs /run
  mkdir /run/systemd /run/log
  mount --bind "$BOX/run" /run/systemd
  mount -t tmpfs -o mode=755 tmpfs /var/log
  mkdir /var/log/journal
  mount --bind "$BOX/log" /var/log/journal
  echo "ready $outer_pid"
  cat >/dev/null # until the test lets go; then PID 1 ends, and the kernel kills whatever is left
  ;;
esac
