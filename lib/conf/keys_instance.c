/* Keys of instances and profiles. doc/config-keys.md is printed from these tables; rows are sorted by name. */
#include <string.h>

#include "lib/conf/checks.h"
#include "lib/conf/tables.h"

static int check_shutdown(const char *key, const char *value, struct lxm_err *e)
{
	if (strcmp(value, "stateful-stop") == 0)
		return lxm_err_set(e, EINVAL, "lxm keeps no state of processes: choose stop or force-stop");
	return check_words(value, "stop|force-stop", e);
}

static int check_evacuate(const char *key, const char *value, struct lxm_err *e)
{
	return check_words(value, "auto|migrate|live-migrate|stop|stateful-stop|force-stop", e);
}

static int check_oom(const char *key, const char *value, struct lxm_err *e)
{
	int64_t n;

	if (lxm_parse_i64(value, &n) < 0 || n < -1000 || n > 1000)
		return lxm_err_set(e, EINVAL, "'%.60s' is not a whole number from -1000 to 1000", value);
	return 0;
}

static int check_enforce(const char *key, const char *value, struct lxm_err *e)
{
	return check_words(value, "hard|soft", e);
}

static int check_idmap_size(const char *key, const char *value, struct lxm_err *e)
{
	uint64_t n;

	/* below 65,536 ids there is no nobody (65534), and most images have files that could not be shown */
	if (lxm_parse_u64(value, &n) < 0 || n < 65536 || n > UINT32_MAX)
		return lxm_err_set(e, EINVAL, "'%.40s' is not a number of ids from 65536 up", value);
	return 0;
}

static int check_kernel_limit(const char *key, const char *value, struct lxm_err *e)
{
	static const char names[] = "as|core|cpu|data|fsize|locks|memlock|msgqueue|nice|nofile|nproc|rss|rtprio|rttime|"
				    "sigpending|stack";
	int r = check_words(key + strlen("limits.kernel."), names, e);

	return r < 0 ? r : check_rlimit(key, value, e);
}

/* clang-format off */
static const struct confkey instance_keys[] = {
	{ "boot.autorestart",                               KEY_BOOL,  KEY_LIVE,             "false",           NULL,                "Start again after an unexpected exit" },
	{ "boot.autostart",                                 KEY_BOOL,  0,                    NULL,              NULL,                "Start with the daemon; unset: start if it ran when the host went down" },
	{ "boot.autostart.delay",                           KEY_UINT,  0,                    "0",               check_u32,           "Seconds to wait after starting it before the next" },
	{ "boot.autostart.priority",                        KEY_INT,   0,                    "0",               NULL,                "Higher ones start first" },
	{ "boot.host_shutdown_action",                      KEY_TEXT,  KEY_LIVE,             "stop",            check_shutdown,      "What host shutdown does to it: stop, force-stop" },
	{ "boot.host_shutdown_timeout",                     KEY_UINT,  KEY_LIVE,             "30",              check_u32,           "Seconds it has to stop at host shutdown" },
	{ "boot.stop.priority",                             KEY_INT,   0,                    "0",               NULL,                "Higher ones stop first at host shutdown" },
	{ "cloud-init.network-config",                      KEY_BLOB,  0,                    NULL,              NULL,                "Network configuration for cloud-init" },
	{ "cloud-init.user-data",                           KEY_BLOB,  0,                    NULL,              NULL,                "User data for cloud-init" },
	{ "cloud-init.vendor-data",                         KEY_BLOB,  0,                    NULL,              NULL,                "Vendor data for cloud-init" },
	{ "cluster.evacuate",                               KEY_TEXT,  0,                    "auto",            check_evacuate,      "What evacuating its cluster member does to it" },
	{ "environment.*",                                  KEY_TEXT,  KEY_LIVE,             NULL,              check_env,           "Environment variable of init and of what exec runs" },
	{ "image.*",                                        KEY_BLOB,  0,                    NULL,              NULL,                "Properties of the image that it was made from" },
	{ "limits.cpu",                                     KEY_TEXT,  KEY_LIVE,             NULL,              check_cpus,          "Number of CPUs, or the set of them" },
	{ "limits.cpu.allowance",                           KEY_TEXT,  KEY_LIVE,             NULL,              check_cpu_allowance, "Share of CPU under load (50%), or time in each period (25ms/100ms)" },
	{ "limits.cpu.nodes",                               KEY_TEXT,  KEY_LIVE,             NULL,              check_cpu_nodes,     "NUMA nodes that its CPUs come from" },
	{ "limits.cpu.priority",                            KEY_UINT,  KEY_LIVE,             "10",              check_priority,      "CPU priority beside instances of the same allowance (0-10)" },
	{ "limits.disk.priority",                           KEY_UINT,  KEY_LIVE,             "5",               check_priority,      "Priority of its disk requests under load (0-10)" },
	{ "limits.hugepages.1GB",                           KEY_BYTES, KEY_LIVE,             NULL,              NULL,                "Ceiling for huge pages of 1 GB" },
	{ "limits.hugepages.1MB",                           KEY_BYTES, KEY_LIVE,             NULL,              NULL,                "Ceiling for huge pages of 1 MB" },
	{ "limits.hugepages.2MB",                           KEY_BYTES, KEY_LIVE,             NULL,              NULL,                "Ceiling for huge pages of 2 MB" },
	{ "limits.hugepages.64KB",                          KEY_BYTES, KEY_LIVE,             NULL,              NULL,                "Ceiling for huge pages of 64 KB" },
	{ "limits.kernel.*",                                KEY_TEXT,  0,                    NULL,              check_kernel_limit,  "Resource limit of init (nofile, nproc, memlock ...): N, SOFT:HARD or unlimited" },
	{ "limits.memory",                                  KEY_TEXT,  KEY_LIVE,             NULL,              check_memory,        "Memory ceiling, or share of the host (50%)" },
	{ "limits.memory.enforce",                          KEY_TEXT,  KEY_LIVE,             "hard",            check_enforce,       "hard: the ceiling is never passed; soft: only under pressure" },
	{ "limits.memory.hugepages",                        KEY_BOOL,  KEY_VM,               "false",           NULL,                "Back its memory by huge pages" },
	{ "limits.memory.oom_priority",                     KEY_INT,   0,                    "0",               check_oom,           "Added to what init and its children score when the host is out of memory (-1000-1000)" },
	{ "limits.memory.swap",                             KEY_TEXT,  KEY_LIVE,             "true",            check_swap,          "Whether it may use swap, or how much" },
	{ "limits.memory.swap.priority",                    KEY_UINT,  KEY_LIVE,             "10",              check_priority,      "Higher ones are swapped out later (0-10)" },
	{ "limits.network.priority",                        KEY_UINT,  KEY_LIVE,             "0",               check_priority,      "Priority of its network traffic under load (0-10)" },
	{ "limits.processes",                               KEY_UINT,  KEY_LIVE,             NULL,              check_positive,      "Ceiling for processes and threads" },
	{ "linux.kernel_modules",                           KEY_TEXT,  KEY_LIVE,             NULL,              check_modules,       "Kernel modules to load before it starts" },
	{ "linux.sysctl.*",                                 KEY_TEXT,  0,                    NULL,              check_sysctl,        "Sysctl of its own namespaces" },
	{ "migration.incremental.memory",                   KEY_BOOL,  KEY_LIVE | KEY_LATER, "false",           NULL,                "Send memory in rounds before it stops" },
	{ "migration.incremental.memory.goal",              KEY_UINT,  KEY_LIVE | KEY_LATER, "70",              check_percent,       "Share of memory in step before it stops" },
	{ "migration.incremental.memory.iterations",        KEY_UINT,  KEY_LIVE | KEY_LATER, "10",              check_positive,      "Rounds at most before it stops" },
	{ "migration.stateful",                             KEY_BOOL,  KEY_VM,               "false",           NULL,                "Allow stateful stop and snapshots" },
	{ "nvidia.driver.capabilities",                     KEY_TEXT,  KEY_LATER,            "compute,utility", NULL,                "Parts of the NVIDIA driver that it sees" },
	{ "nvidia.require.cuda",                            KEY_TEXT,  KEY_LATER,            NULL,              NULL,                "Required version of CUDA" },
	{ "nvidia.require.driver",                          KEY_TEXT,  KEY_LATER,            NULL,              NULL,                "Required version of the driver" },
	{ "nvidia.runtime",                                 KEY_BOOL,  KEY_LATER,            "false",           NULL,                "Bring the NVIDIA libraries of the host in" },
	{ "raw.apparmor",                                   KEY_BLOB,  0,                    NULL,              NULL,                "Lines added to its AppArmor profile" },
	{ "raw.idmap",                                      KEY_BLOB,  0,                    NULL,              check_idmap,         "Host ids seen inside: lines of uid, gid or both, HOST, INSIDE" },
	{ "raw.lxc",                                        KEY_BLOB,  0,                    NULL,              check_raw_lxc,       "Lines of liblxc configuration that mean the same as a key of lxm" },
	{ "raw.qemu",                                       KEY_BLOB,  KEY_VM,               NULL,              NULL,                "QEMU arguments" },
	{ "raw.qemu.conf",                                  KEY_BLOB,  KEY_VM,               NULL,              NULL,                "QEMU configuration" },
	{ "raw.seccomp",                                    KEY_BLOB,  0,                    NULL,              NULL,                "Whole seccomp policy in the language of liblxc" },
	{ "security.agent.metrics",                         KEY_BOOL,  KEY_VM,               "true",            NULL,                "Ask the agent inside for metrics" },
	{ "security.csm",                                   KEY_BOOL,  KEY_VM,               "false",           NULL,                "Firmware without UEFI" },
	{ "security.devlxd",                                KEY_BOOL,  KEY_LIVE,             "true",            NULL,                "Whether /dev/lxd is there" },
	{ "security.devlxd.images",                         KEY_BOOL,  KEY_LIVE,             "false",           NULL,                "Let it fetch images through /dev/lxd" },
	{ "security.idmap.base",                            KEY_UINT,  0,                    NULL,              check_id,            "First host id of its range" },
	{ "security.idmap.isolated",                        KEY_BOOL,  0,                    "true",            NULL,                "A range of host ids of its own" },
	{ "security.idmap.size",                            KEY_UINT,  0,                    NULL,              check_idmap_size,    "Number of host ids in its range" },
	{ "security.nesting",                               KEY_BOOL,  0,                    "false",           NULL,                "Let it run containers of its own" },
	{ "security.privileged",                            KEY_BOOL,  0,                    "false",           NULL,                "Run without an id map: its root is the root of the host" },
	{ "security.protection.delete",                     KEY_BOOL,  KEY_LIVE,             "false",           NULL,                "Refuse to delete it" },
	{ "security.protection.shift",                      KEY_BOOL,  KEY_LIVE,             "false",           NULL,                "Refuse to shift the owners of its files on disk" },
	{ "security.secureboot",                            KEY_BOOL,  KEY_VM,               "true",            NULL,                "Boot signed code only" },
	{ "security.sev",                                   KEY_BOOL,  KEY_VM,               "false",           NULL,                "Encrypt its memory" },
	{ "security.syscalls.allow",                        KEY_BLOB,  0,                    NULL,              check_syscalls,      "The only system calls that it may make, one a line" },
	{ "security.syscalls.deny",                         KEY_BLOB,  0,                    NULL,              check_syscalls,      "System calls refused to it, one a line" },
	{ "security.syscalls.deny_compat",                  KEY_BOOL,  0,                    "false",           NULL,                "Refuse system calls of the 32-bit kind" },
	{ "security.syscalls.deny_default",                 KEY_BOOL,  0,                    "true",            NULL,                "Refuse the calls that no container needs" },
	{ "security.syscalls.intercept.bpf",                KEY_BOOL,  KEY_LATER,            "false",           NULL,                "Answer bpf() on its behalf" },
	{ "security.syscalls.intercept.bpf.devices",        KEY_BOOL,  KEY_LATER,            "false",           NULL,                "Allow device programs through bpf()" },
	{ "security.syscalls.intercept.mknod",              KEY_BOOL,  0,                    "false",           NULL,                "Answer mknod() for harmless nodes" },
	{ "security.syscalls.intercept.mount",              KEY_BOOL,  0,                    "false",           NULL,                "Answer mount() for allowed filesystems" },
	{ "security.syscalls.intercept.mount.allowed",      KEY_TEXT,  KEY_LIVE,             NULL,              check_filesystems,   "Filesystems that it may mount" },
	{ "security.syscalls.intercept.mount.fuse",         KEY_TEXT,  KEY_LIVE,             NULL,              check_fuse,          "Filesystems mounted by a FUSE program instead" },
	{ "security.syscalls.intercept.mount.shift",        KEY_BOOL,  KEY_LIVE,             "false",           NULL,                "Map ids of such mounts" },
	{ "security.syscalls.intercept.sched_setscheduler", KEY_BOOL,  0,                    "false",           NULL,                "Answer sched_setscheduler()" },
	{ "security.syscalls.intercept.setxattr",           KEY_BOOL,  0,                    "false",           NULL,                "Answer setxattr() for harmless names" },
	{ "security.syscalls.intercept.sysinfo",            KEY_BOOL,  0,                    "false",           NULL,                "Answer sysinfo() with its own limits" },
	{ "snapshots.expiry",                               KEY_TEXT,  0,                    NULL,              check_expiry,        "Age at which its snapshots are deleted" },
	{ "snapshots.pattern",                              KEY_TEXT,  0,                    "snap%d",          check_pattern,       "Name of automatic snapshots" },
	{ "snapshots.schedule",                             KEY_TEXT,  0,                    NULL,              check_cron,          "When snapshots are made: cron fields, or aliases such as @daily" },
	{ "snapshots.schedule.stopped",                     KEY_BOOL,  0,                    "false",           NULL,                "Make them while it is stopped too" },
	{ "user.*",                                         KEY_BLOB,  KEY_LIVE,             NULL,              NULL,                "For people and scripts" },
	{ "user.network-config",                            KEY_BLOB,  0,                    NULL,              NULL,                "Older name of cloud-init.network-config" },
	{ "user.user-data",                                 KEY_BLOB,  0,                    NULL,              NULL,                "Older name of cloud-init.user-data" },
	{ "user.vendor-data",                               KEY_BLOB,  0,                    NULL,              NULL,                "Older name of cloud-init.vendor-data" },
	{ "volatile.*",                                     KEY_BLOB,  KEY_DAEMON,           NULL,              NULL,                "What lxmd remembers of it" },
	{ "volatile.*.apply_quota",                         KEY_TEXT,  KEY_DAEMON,           NULL,              NULL,                "Disk quota to set at the next start" },
	{ "volatile.*.host_name",                           KEY_TEXT,  KEY_DAEMON,           NULL,              check_link,          "Name of the link on the host" },
	{ "volatile.*.hwaddr",                              KEY_TEXT,  KEY_DAEMON,           NULL,              check_mac,           "MAC address" },
	{ "volatile.*.last_state.created",                  KEY_BOOL,  KEY_DAEMON,           NULL,              NULL,                "Whether the link was made for it" },
	{ "volatile.*.last_state.hwaddr",                   KEY_TEXT,  KEY_DAEMON,           NULL,              check_mac,           "MAC address of the link before" },
	{ "volatile.*.last_state.ip_addresses",             KEY_TEXT,  KEY_DAEMON,           NULL,              NULL,                "Addresses it had last" },
	{ "volatile.*.last_state.mtu",                      KEY_TEXT,  KEY_DAEMON,           NULL,              check_mtu,           "MTU of the link before" },
	{ "volatile.*.name",                                KEY_TEXT,  KEY_DAEMON,           NULL,              check_link,          "Name of the link inside" },
	{ "volatile.apply_template",                        KEY_TEXT,  KEY_DAEMON,           NULL,              NULL,                "Templates to render at the next start" },
	{ "volatile.base_image",                            KEY_TEXT,  KEY_DAEMON,           NULL,              NULL,                "Fingerprint of the image it was made from" },
	{ "volatile.cloud-init.instance-id",                KEY_TEXT,  KEY_DAEMON,           NULL,              NULL,                "Instance id that cloud-init sees" },
	{ "volatile.evacuate.origin",                       KEY_TEXT,  KEY_DAEMON,           NULL,              NULL,                "Member it was evacuated from" },
	{ "volatile.idmap.base",                            KEY_UINT,  KEY_DAEMON,           NULL,              check_u32,           "First host id of its range" },
	{ "volatile.idmap.current",                         KEY_TEXT,  KEY_DAEMON,           NULL,              NULL,                "Id map in force" },
	{ "volatile.idmap.next",                            KEY_TEXT,  KEY_DAEMON,           NULL,              NULL,                "Id map of the next start" },
	{ "volatile.last_state.idmap",                      KEY_TEXT,  KEY_DAEMON,           NULL,              NULL,                "Id map of the files on disk" },
	{ "volatile.last_state.power",                      KEY_TEXT,  KEY_DAEMON,           NULL,              NULL,                "Whether it ran when it was last seen" },
	{ "volatile.last_state.ready",                      KEY_TEXT,  KEY_DAEMON,           NULL,              NULL,                "Whether it said that it is ready" },
	{ "volatile.uuid",                                  KEY_TEXT,  KEY_DAEMON,           NULL,              check_uuid,          "Its UUID" },
	{ "volatile.uuid.generation",                       KEY_TEXT,  KEY_DAEMON,           NULL,              check_uuid,          "UUID that changes when its state goes back in time" },
};

/* The same without what belongs to one instance: image.* and volatile.* */
static const struct confkey profile_keys[] = {
	{ "boot.autorestart",                               KEY_BOOL,  KEY_LIVE,             "false",           NULL,                "Start again after an unexpected exit" },
	{ "boot.autostart",                                 KEY_BOOL,  0,                    NULL,              NULL,                "Start with the daemon; unset: start if it ran when the host went down" },
	{ "boot.autostart.delay",                           KEY_UINT,  0,                    "0",               check_u32,           "Seconds to wait after starting it before the next" },
	{ "boot.autostart.priority",                        KEY_INT,   0,                    "0",               NULL,                "Higher ones start first" },
	{ "boot.host_shutdown_action",                      KEY_TEXT,  KEY_LIVE,             "stop",            check_shutdown,      "What host shutdown does to it: stop, force-stop" },
	{ "boot.host_shutdown_timeout",                     KEY_UINT,  KEY_LIVE,             "30",              check_u32,           "Seconds it has to stop at host shutdown" },
	{ "boot.stop.priority",                             KEY_INT,   0,                    "0",               NULL,                "Higher ones stop first at host shutdown" },
	{ "cloud-init.network-config",                      KEY_BLOB,  0,                    NULL,              NULL,                "Network configuration for cloud-init" },
	{ "cloud-init.user-data",                           KEY_BLOB,  0,                    NULL,              NULL,                "User data for cloud-init" },
	{ "cloud-init.vendor-data",                         KEY_BLOB,  0,                    NULL,              NULL,                "Vendor data for cloud-init" },
	{ "cluster.evacuate",                               KEY_TEXT,  0,                    "auto",            check_evacuate,      "What evacuating its cluster member does to it" },
	{ "environment.*",                                  KEY_TEXT,  KEY_LIVE,             NULL,              check_env,           "Environment variable of init and of what exec runs" },
	{ "limits.cpu",                                     KEY_TEXT,  KEY_LIVE,             NULL,              check_cpus,          "Number of CPUs, or the set of them" },
	{ "limits.cpu.allowance",                           KEY_TEXT,  KEY_LIVE,             NULL,              check_cpu_allowance, "Share of CPU under load (50%), or time in each period (25ms/100ms)" },
	{ "limits.cpu.nodes",                               KEY_TEXT,  KEY_LIVE,             NULL,              check_cpu_nodes,     "NUMA nodes that its CPUs come from" },
	{ "limits.cpu.priority",                            KEY_UINT,  KEY_LIVE,             "10",              check_priority,      "CPU priority beside instances of the same allowance (0-10)" },
	{ "limits.disk.priority",                           KEY_UINT,  KEY_LIVE,             "5",               check_priority,      "Priority of its disk requests under load (0-10)" },
	{ "limits.hugepages.1GB",                           KEY_BYTES, KEY_LIVE,             NULL,              NULL,                "Ceiling for huge pages of 1 GB" },
	{ "limits.hugepages.1MB",                           KEY_BYTES, KEY_LIVE,             NULL,              NULL,                "Ceiling for huge pages of 1 MB" },
	{ "limits.hugepages.2MB",                           KEY_BYTES, KEY_LIVE,             NULL,              NULL,                "Ceiling for huge pages of 2 MB" },
	{ "limits.hugepages.64KB",                          KEY_BYTES, KEY_LIVE,             NULL,              NULL,                "Ceiling for huge pages of 64 KB" },
	{ "limits.kernel.*",                                KEY_TEXT,  0,                    NULL,              check_kernel_limit,  "Resource limit of init (nofile, nproc, memlock ...): N, SOFT:HARD or unlimited" },
	{ "limits.memory",                                  KEY_TEXT,  KEY_LIVE,             NULL,              check_memory,        "Memory ceiling, or share of the host (50%)" },
	{ "limits.memory.enforce",                          KEY_TEXT,  KEY_LIVE,             "hard",            check_enforce,       "hard: the ceiling is never passed; soft: only under pressure" },
	{ "limits.memory.hugepages",                        KEY_BOOL,  KEY_VM,               "false",           NULL,                "Back its memory by huge pages" },
	{ "limits.memory.oom_priority",                     KEY_INT,   0,                    "0",               check_oom,           "Added to what init and its children score when the host is out of memory (-1000-1000)" },
	{ "limits.memory.swap",                             KEY_TEXT,  KEY_LIVE,             "true",            check_swap,          "Whether it may use swap, or how much" },
	{ "limits.memory.swap.priority",                    KEY_UINT,  KEY_LIVE,             "10",              check_priority,      "Higher ones are swapped out later (0-10)" },
	{ "limits.network.priority",                        KEY_UINT,  KEY_LIVE,             "0",               check_priority,      "Priority of its network traffic under load (0-10)" },
	{ "limits.processes",                               KEY_UINT,  KEY_LIVE,             NULL,              check_positive,      "Ceiling for processes and threads" },
	{ "linux.kernel_modules",                           KEY_TEXT,  KEY_LIVE,             NULL,              check_modules,       "Kernel modules to load before it starts" },
	{ "linux.sysctl.*",                                 KEY_TEXT,  0,                    NULL,              check_sysctl,        "Sysctl of its own namespaces" },
	{ "migration.incremental.memory",                   KEY_BOOL,  KEY_LIVE | KEY_LATER, "false",           NULL,                "Send memory in rounds before it stops" },
	{ "migration.incremental.memory.goal",              KEY_UINT,  KEY_LIVE | KEY_LATER, "70",              check_percent,       "Share of memory in step before it stops" },
	{ "migration.incremental.memory.iterations",        KEY_UINT,  KEY_LIVE | KEY_LATER, "10",              check_positive,      "Rounds at most before it stops" },
	{ "migration.stateful",                             KEY_BOOL,  KEY_VM,               "false",           NULL,                "Allow stateful stop and snapshots" },
	{ "nvidia.driver.capabilities",                     KEY_TEXT,  KEY_LATER,            "compute,utility", NULL,                "Parts of the NVIDIA driver that it sees" },
	{ "nvidia.require.cuda",                            KEY_TEXT,  KEY_LATER,            NULL,              NULL,                "Required version of CUDA" },
	{ "nvidia.require.driver",                          KEY_TEXT,  KEY_LATER,            NULL,              NULL,                "Required version of the driver" },
	{ "nvidia.runtime",                                 KEY_BOOL,  KEY_LATER,            "false",           NULL,                "Bring the NVIDIA libraries of the host in" },
	{ "raw.apparmor",                                   KEY_BLOB,  0,                    NULL,              NULL,                "Lines added to its AppArmor profile" },
	{ "raw.idmap",                                      KEY_BLOB,  0,                    NULL,              check_idmap,         "Host ids seen inside: lines of uid, gid or both, HOST, INSIDE" },
	{ "raw.lxc",                                        KEY_BLOB,  0,                    NULL,              check_raw_lxc,       "Lines of liblxc configuration that mean the same as a key of lxm" },
	{ "raw.qemu",                                       KEY_BLOB,  KEY_VM,               NULL,              NULL,                "QEMU arguments" },
	{ "raw.qemu.conf",                                  KEY_BLOB,  KEY_VM,               NULL,              NULL,                "QEMU configuration" },
	{ "raw.seccomp",                                    KEY_BLOB,  0,                    NULL,              NULL,                "Whole seccomp policy in the language of liblxc" },
	{ "security.agent.metrics",                         KEY_BOOL,  KEY_VM,               "true",            NULL,                "Ask the agent inside for metrics" },
	{ "security.csm",                                   KEY_BOOL,  KEY_VM,               "false",           NULL,                "Firmware without UEFI" },
	{ "security.devlxd",                                KEY_BOOL,  KEY_LIVE,             "true",            NULL,                "Whether /dev/lxd is there" },
	{ "security.devlxd.images",                         KEY_BOOL,  KEY_LIVE,             "false",           NULL,                "Let it fetch images through /dev/lxd" },
	{ "security.idmap.base",                            KEY_UINT,  0,                    NULL,              check_id,            "First host id of its range" },
	{ "security.idmap.isolated",                        KEY_BOOL,  0,                    "true",            NULL,                "A range of host ids of its own" },
	{ "security.idmap.size",                            KEY_UINT,  0,                    NULL,              check_idmap_size,    "Number of host ids in its range" },
	{ "security.nesting",                               KEY_BOOL,  0,                    "false",           NULL,                "Let it run containers of its own" },
	{ "security.privileged",                            KEY_BOOL,  0,                    "false",           NULL,                "Run without an id map: its root is the root of the host" },
	{ "security.protection.delete",                     KEY_BOOL,  KEY_LIVE,             "false",           NULL,                "Refuse to delete it" },
	{ "security.protection.shift",                      KEY_BOOL,  KEY_LIVE,             "false",           NULL,                "Refuse to shift the owners of its files on disk" },
	{ "security.secureboot",                            KEY_BOOL,  KEY_VM,               "true",            NULL,                "Boot signed code only" },
	{ "security.sev",                                   KEY_BOOL,  KEY_VM,               "false",           NULL,                "Encrypt its memory" },
	{ "security.syscalls.allow",                        KEY_BLOB,  0,                    NULL,              check_syscalls,      "The only system calls that it may make, one a line" },
	{ "security.syscalls.deny",                         KEY_BLOB,  0,                    NULL,              check_syscalls,      "System calls refused to it, one a line" },
	{ "security.syscalls.deny_compat",                  KEY_BOOL,  0,                    "false",           NULL,                "Refuse system calls of the 32-bit kind" },
	{ "security.syscalls.deny_default",                 KEY_BOOL,  0,                    "true",            NULL,                "Refuse the calls that no container needs" },
	{ "security.syscalls.intercept.bpf",                KEY_BOOL,  KEY_LATER,            "false",           NULL,                "Answer bpf() on its behalf" },
	{ "security.syscalls.intercept.bpf.devices",        KEY_BOOL,  KEY_LATER,            "false",           NULL,                "Allow device programs through bpf()" },
	{ "security.syscalls.intercept.mknod",              KEY_BOOL,  0,                    "false",           NULL,                "Answer mknod() for harmless nodes" },
	{ "security.syscalls.intercept.mount",              KEY_BOOL,  0,                    "false",           NULL,                "Answer mount() for allowed filesystems" },
	{ "security.syscalls.intercept.mount.allowed",      KEY_TEXT,  KEY_LIVE,             NULL,              check_filesystems,   "Filesystems that it may mount" },
	{ "security.syscalls.intercept.mount.fuse",         KEY_TEXT,  KEY_LIVE,             NULL,              check_fuse,          "Filesystems mounted by a FUSE program instead" },
	{ "security.syscalls.intercept.mount.shift",        KEY_BOOL,  KEY_LIVE,             "false",           NULL,                "Map ids of such mounts" },
	{ "security.syscalls.intercept.sched_setscheduler", KEY_BOOL,  0,                    "false",           NULL,                "Answer sched_setscheduler()" },
	{ "security.syscalls.intercept.setxattr",           KEY_BOOL,  0,                    "false",           NULL,                "Answer setxattr() for harmless names" },
	{ "security.syscalls.intercept.sysinfo",            KEY_BOOL,  0,                    "false",           NULL,                "Answer sysinfo() with its own limits" },
	{ "snapshots.expiry",                               KEY_TEXT,  0,                    NULL,              check_expiry,        "Age at which its snapshots are deleted" },
	{ "snapshots.pattern",                              KEY_TEXT,  0,                    "snap%d",          check_pattern,       "Name of automatic snapshots" },
	{ "snapshots.schedule",                             KEY_TEXT,  0,                    NULL,              check_cron,          "When snapshots are made: cron fields, or aliases such as @daily" },
	{ "snapshots.schedule.stopped",                     KEY_BOOL,  0,                    "false",           NULL,                "Make them while it is stopped too" },
	{ "user.*",                                         KEY_BLOB,  KEY_LIVE,             NULL,              NULL,                "For people and scripts" },
	{ "user.network-config",                            KEY_BLOB,  0,                    NULL,              NULL,                "Older name of cloud-init.network-config" },
	{ "user.user-data",                                 KEY_BLOB,  0,                    NULL,              NULL,                "Older name of cloud-init.user-data" },
	{ "user.vendor-data",                               KEY_BLOB,  0,                    NULL,              NULL,                "Older name of cloud-init.vendor-data" },
};
/* clang-format on */

const struct conftable conf_instance = { "instance", instance_keys, LXM_ARRAY_LEN(instance_keys) };
const struct conftable conf_profile = { "profile", profile_keys, LXM_ARRAY_LEN(profile_keys) };
