"""An image with lxmd and what it needs inside, for running it in an instance of another one."""
import re
import subprocess
from pathlib import Path

from . import images
from .daemon import TOP, Daemon

DNSMASQ = "/usr/sbin/dnsmasq"
# what the programs open by themselves when they need it
LOADED_LATER = [str(path) for name in ("libarchive.so.13", "libnftables.so.1") for path in Path("/usr/lib").glob(f"*-linux-gnu*/{name}")]
# an init that is no systemd mounts none
MOUNT_CGROUPS = r"""
if [ "$(grep -c . /proc/self/cgroup)" = 1 ]; then
	mount -t cgroup2 c /sys/fs/cgroup && mkdir /sys/fs/cgroup/init && cd /sys/fs/cgroup || exit 1
	for pid in $(cat cgroup.procs); do echo $pid > init/cgroup.procs; done
	exit 0
fi
mount -t tmpfs -o mode=755 c /sys/fs/cgroup && cd /sys/fs/cgroup || exit 1
sed 's/^[0-9]*:\(.*\):.*/\1/' /proc/self/cgroup | while read name; do
	case "$name" in
	"") mkdir unified && mount -t cgroup2 c unified ;;
	name=*) mkdir "${name#name=}" && mount -t cgroup -o "none,$name" c "${name#name=}" ;;
	*) mkdir "$name" && mount -t cgroup -o "$name" c "$name" ;;
	esac
done
"""


def libraries(*programs):
    """Absolute paths of all shared libraries that these need, the loader among them."""
    found = set()
    for program in [*programs, *LOADED_LATER]:
        text = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
        found.update(re.findall(r"(/\S+) \(0x", text))
    return sorted(found | set(LOADED_LATER))


def add_tree(tar, top, name):
    tar.dir(name)
    for path in sorted(Path(top).rglob("*")):
        if path.is_dir():
            tar.dir(f"{name}/{path.relative_to(top)}")
        else:
            tar.add(f"{name}/{path.relative_to(top)}", path.read_bytes(), 0o644)


def lxm_image():
    """A busybox image with this build of lxm in /usr/local."""
    programs = sorted(str(path) for path in Path(Daemon.bin("lxmd")).parent.iterdir())

    def extra(tar):
        made = {"rootfs/usr", "rootfs/usr/sbin", "rootfs/var"}
        for path in programs:
            tar.add("rootfs/usr/local/bin/" + Path(path).name, Path(path).read_bytes(), 0o755)
        for path in [DNSMASQ, *libraries(*programs, DNSMASQ)]:
            for parent in reversed(Path(path).parents[:-1]):
                if f"rootfs{parent}" not in made:
                    tar.dir(f"rootfs{parent}")
                    made.add(f"rootfs{parent}")
            tar.add(f"rootfs{path}", Path(path).read_bytes(), 0o755)
        for name in ("templates", "profiles"):
            add_tree(tar, TOP / name, f"rootfs/usr/local/share/lxm/{name}")
        tar.without = ()
        for name in ("passwd", "group"):
            tar.add(f"rootfs/etc/{name}", "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n" if name == "passwd"
                    else "root:x:0:\nnogroup:x:65534:\n")
        tar.dir("rootfs/var/lib").dir("rootfs/var/lib/lxmd").dir("rootfs/var/lib/misc")

    return images.busybox_tar(extra=extra, without=("rootfs/etc/passwd", "rootfs/etc/group"))
