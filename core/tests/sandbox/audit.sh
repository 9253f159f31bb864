# What auditing programs for containers look at, one line each. Nothing that differs between machines.
field() { sed -n "s/^$1:[[:space:]]*//p" /proc/self/status; }
for name in CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp; do echo "$name $(field $name)"; done
echo "root is another outside: $(perl -ane 'print $F[1] ? "yes" : "no"; last' /proc/self/uid_map)"
# The kernel's own numbers of its first namespaces.
for pair in ipc:4026531839 uts:4026531838 user:4026531837 pid:4026531836 cgroup:4026531835; do
    kind=${pair%:*}
    echo "first $kind namespace: $(test "$(readlink /proc/self/ns/$kind)" = "$kind:[${pair#*:}]" && echo yes || echo no)"
done
echo "processes of others: $(ls /proc | grep -c '^[0-9][0-9][0-9][0-9]*$')"
echo "devices: $(find /dev -type c -o -type b | sed 's,/dev/,,' | grep -v '^pts/' | sort | tr '\n' ' ')"
echo "block devices: $(find /dev -type b | wc -l)"
echo "network devices: $(ls /sys/class/net | tr '\n' ' ')"
echo "sockets of container engines: $(ls /var/run/docker.sock /run/docker.sock /run/containerd/containerd.sock /run/podman/podman.sock 2>/dev/null)"
echo "X displays: $(ls /tmp/.X11-unix 2>/dev/null)"
echo "control groups: $(ls -A /sys/fs/cgroup 2>/dev/null)"
echo "kernel addresses: $(head -1 /proc/kallsyms | cut -d' ' -f1)"
echo "kernel log: $(dmesg 2>&1 >/dev/null | grep -c 'not permitted')"
echo "core limit: $(perl -ne 'print "$1 $2" if /^Max core file size +(\S+) +(\S+)/' /proc/self/limits)"
echo "oom score: $(cat /proc/self/oom_score_adj)"
echo "setuid root: $(find / -xdev -perm -4000 -user root -type f 2>/dev/null | wc -l)"
mounted() { perl -ane 'BEGIN { $d = shift } ($F[1] eq $d) and $o = "$F[2] " . join ",", grep !/=|atime/, split /,/, $F[3]; END { print $o || "-" }' "$1" /proc/mounts; }
for dir in / /proc /proc/sys /proc/irq /proc/bus /proc/fs /sys /sys/fs/cgroup /dev /tmp /run/sandboxed-sh/control; do
    echo "mounted on $dir: $(mounted $dir)"
done
