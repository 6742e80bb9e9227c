/*
 * Facts about keys, each said once for all keys that it holds for. The tables of keys say what a key is; these say what becomes of it elsewhere:
 * in restricted projects (lxmd/instance/policy.c judges by them), in api_extensions, and in the list of what lxm refuses.
 */
#include "lib/conf/facts.h"

#include <fnmatch.h>
#include <string.h>

#include "lib/conf/tables.h"

#define INSTANCES "instance profile"

static const char vms[] = "of virtual machines; lxm has containers only";
static const char ovn[] = "lxm has no OVN";
static const char bgp[] = "lxm announces nothing by BGP";
static const char zones[] = "lxm serves no DNS zones; a bridge answers the names of its instances itself";
static const char acls[] = "lxm has no network ACLs; what a NIC may send is held by `security.mac_filtering`, `.ipv4_filtering` and `.ipv6_filtering`";
static const char alone[] = "a server of lxm stands alone: there is no cluster";
static const char names[] = "clients are known by their certificate: there are no accounts of other services";
static const char drivers[] = "the storage drivers of lxm are `overlay` and `dir`; either works on btrfs, XFS, LVM and ZFS that are mounted";

static const struct conf_fact refusals[] = {
	{ INSTANCES, "agent.* limits.memory.hugepages migration.stateful raw.qemu* security.agent.metrics security.csm security.iommu "
		     "security.secureboot security.sev* smbios11.*", vms },
	{ INSTANCES, "migration.incremental.*", "lxm moves no memory of running programs to another server" },
	{ INSTANCES, "nvidia.*", "they are about a hook of liblxc, on which lxm does not run; a gpu device gives the card, disk devices the driver's files" },
	{ INSTANCES, "security.guestapi*", "Incus's names of `security.devlxd` and `security.devlxd.images`: set those" },
	{ INSTANCES, "security.syscalls.intercept.bpf*",
	  "the kernel would load, with the host's rights, a program that the instance chose. Managers inside do without: their own device rules are not "
	  "enforced, those of the instance are" },
	{ "project", "restricted.virtual-machines.*", vms },
	{ "project", "restricted.cluster.*", alone },
	{ "project", "restricted.networks.integrations restricted.networks.subnets restricted.networks.uplinks", ovn },
	{ "project", "restricted.networks.zones", zones },
	{ "server", "acme.*", "lxm asks for no certificates: replace `server.crt` and `server.key`" },
	{ "server", "authorization.* oidc.* openfga.*", names },
	{ "server", "cluster.* instances.placement.*", alone },
	{ "server", "core.bgp_*", bgp },
	{ "server", "core.debug_address", "there is nothing to listen to: `lxmd --debug` writes what it does, `lxmc monitor` shows it" },
	{ "server", "core.dns_address", zones },
	{ "server", "core.shutdown_timeout", "lxmd does not wait: instances and their exec sessions go on without it, and an operation that was cut is undone" },
	{ "server", "core.storage_buckets_address", "lxm has no storage buckets" },
	{ "server", "core.syslog_socket network.ovn.* network.ovs.*", ovn },
	{ "server", "instances.lxcfs.per_instance", "one lxcfs serves all, and is replaced in running instances when it dies" },
	{ "server", "loki.*", "lxmd writes to the journal, `lxmc monitor` shows events: both can be passed on from there" },
	{ "server", "storage.backups_volume storage.images_volume", "they lie in `backups` and `images` of the data directory, where a file system can be mounted" },
	{ "network-*", "bgp.*", bgp },
	{ "network-bridge", "bridge.external_interfaces", "a bridge made on the host, with its links, can be the `parent` of NICs" },
	{ "network-bridge", "bridge.mode fan.*", "Ubuntu's fan wants a kernel of its own" },
	{ "network-bridge", "dns.zone.*", zones },
	{ "network-bridge", "ipv4.nat.order ipv6.nat.order", "lxm's rules are a table of nftables of its own: no order among those of others" },
	{ "network-bridge", "raw.dnsmasq", "dnsmasq's options name files and programs that it uses with rights of the host" },
	{ "network-bridge", "security.acls*", acls },
	{ "network-bridge", "tunnel.*", "a tunnel made on the host can join the bridge there" },
	{ "network-bridge", "ipv4.ovn.* ipv6.ovn.*", ovn },
	{ "network-physical", "dns.nameservers ipv4.* ipv6.*", "for OVN routers behind the network; lxm has none" },
	{ "network-acl", "*", acls },
	{ "network-forward", "*", "lxm has no network forwards; a proxy device with `nat=true` does the same for one instance" },
	{ "network-zone", "*", zones },
	{ "storage-btrfs storage-ceph storage-lvm storage-zfs", "*", drivers },
	{ "storage-volume-btrfs storage-volume-ceph storage-volume-lvm storage-volume-zfs", "*", drivers },
	{ "storage-*", "rsync.*", "lxm does not copy by rsync" },
	{ "device-nic-* device-disk", "boot.priority", vms },
	{ "device-nic-sriov", "*", "virtual functions are made on the host; the link of one is given away by `nictype=physical`" },
	{ "device-nic-*", "maas.*", "lxm does not talk to MAAS" },
	{ "device-nic-*", "security.acls*", acls },
	{ "device-nic-*", "limits.*",
	  "such a NIC has no end on the host where rates could be held; LXD 5.0 has them on bridges, `p2p` and `routed` alone, as here" },
	{ "device-disk", "ceph.*", "lxm has no Ceph; a CephFS or RBD that the host has mounted is a `source` like any other" },
	{ "device-disk", "io.bus io.cache io.threads size.state attached", vms },
	{ "device-disk", "initial.*", "a root volume on overlay and dir has no settings but its size, and that is size" },
	{ "device-infiniband", "*", "no adapter to try it on; `unix-char` gives `/dev/infiniband/*`, `nictype=physical` the link" },
	{ "device-pci", "*", vms },
	{ "device-tpm", "*", "a software TPM for each instance needs `swtpm` and a kernel with `vtpm_proxy`; `unix-char` gives the host's own" },
	{ "device-unix-*", "ownership.inherit", "owner, group and mode are what `uid`, `gid` and `mode` say" },
	{ "device-usb", "attached", "of later versions: remove the device to take it away" },
	{ NULL, NULL, NULL },
};

/* What a project with restricted=true must open first. Values count too: policy.c knows which. */
static const struct conf_fact rules[] = {
	{ INSTANCES, "security.nesting", "restricted.containers.nesting" },
	{ INSTANCES, "security.privileged security.idmap.isolated", "restricted.containers.privilege" },
	{ INSTANCES, "security.syscalls.intercept.*", "restricted.containers.interception" },
	/* the second half takes from others what all share: the host's ids, the time that it has to go down, its CPUs (no limit
	 * of a cgroup holds for real-time classes), the turn of whoever dies when memory is out */
	{ INSTANCES, "raw.apparmor raw.idmap raw.lxc raw.seccomp linux.kernel_modules security.syscalls.allow "
		     "security.syscalls.deny security.syscalls.deny_default "
		     "security.idmap.base security.idmap.size boot.host_shutdown_timeout limits.kernel.rtprio limits.kernel.rttime "
		     "limits.memory.oom_priority", "restricted.containers.lowlevel" },
	{ INSTANCES, "snapshots.schedule", "restricted.snapshots" },
	{ "device-nic-*", "network", "restricted.networks.access" },
	/* a name on the host is what its firewall and routes may go by, and tells which links there are; routes take traffic of the
	 * host and of others; a VLAN is one that somebody else may be in */
	{ "device-nic-bridged", "host_name ipv4.routes* ipv6.routes* vlan vlan.tagged", "restricted.devices.nic" },
	{ "device-nic-[!b]*", "host_name type vlan", "restricted.devices.nic" },
	{ "device-disk", "source", "restricted.devices.disk" },
	{ "device-gpu", "type", "restricted.devices.gpu" },
	{ "device-infiniband", "type", "restricted.devices.infiniband" },
	{ "device-pci", "type", "restricted.devices.pci" },
	{ "device-proxy", "type", "restricted.devices.proxy" },
	{ "device-unix-block", "type", "restricted.devices.unix-block" },
	{ "device-unix-char", "type", "restricted.devices.unix-char" },
	{ "device-unix-hotplug", "type", "restricted.devices.unix-hotplug" },
	{ "device-usb", "type", "restricted.devices.usb" },
	{ NULL, NULL, NULL },
};

static const struct conf_fact extensions[] = {
	{ INSTANCES, "boot.autorestart", "instance_auto_restart" },
	{ INSTANCES, "boot.host_shutdown_timeout", "container_host_shutdown_timeout" },
	{ INSTANCES, "boot.stop.priority", "container_stop_priority" },
	{ INSTANCES, "cloud-init.*", "cloud_init" },
	{ INSTANCES, "limits.cpu.nodes", "numa_cpu_placement" },
	{ INSTANCES, "limits.hugepages.*", "limits_hugepages" },
	{ INSTANCES, "limits.kernel.*", "kernel_limits" },
	{ INSTANCES, "limits.memory.oom_priority", "instance_limits_oom" },
	{ INSTANCES, "linux.sysctl.*", "linux_sysctl" },
	{ INSTANCES, "raw.idmap security.idmap.isolated security.idmap.size", "id_map" },
	{ INSTANCES, "security.idmap.base", "id_map_base" },
	{ INSTANCES, "security.devlxd", "restrict_devlxd" },
	{ INSTANCES, "security.devlxd.images", "devlxd_images" },
	{ INSTANCES, "security.protection.delete", "container_protection_delete" },
	{ INSTANCES, "security.protection.shift", "container_protection_shift" },
	{ INSTANCES, "security.syscalls.allow security.syscalls.deny*", "container_syscall_filtering" },
	{ INSTANCES, "security.syscalls.intercept.mknod security.syscalls.intercept.setxattr", "container_syscall_intercept" },
	{ INSTANCES, "security.syscalls.intercept.mount.fuse", "container_syscall_intercept_mount_fuse" },
	{ INSTANCES, "security.syscalls.intercept.mount*", "container_syscall_intercept_mount" },
	{ INSTANCES, "security.syscalls.intercept.sched_setscheduler", "container_syscall_intercept_sched_setscheduler" },
	{ INSTANCES, "security.syscalls.intercept.sysinfo", "container_syscall_intercept_sysinfo" },
	{ INSTANCES, "snapshots.expiry", "snapshot_expiry" },
	{ INSTANCES, "snapshots.*", "snapshot_scheduling" },
	{ "project", "backups.compression_algorithm images.compression_algorithm", "projects_compression" },
	{ "project", "images.auto_update_*", "projects_images_auto_update" },
	{ "project", "images.default_architecture", "images_default_architecture" },
	{ "project", "images.remote_cache_expiry", "projects_images_remote_cache_expiry" },
	{ "project", "limits.disk.pool.*", "projects_limits_disk_pool" },
	{ "project", "limits.disk", "projects_limits_disk" },
	{ "project", "limits.instances", "projects_limits_instances" },
	{ "project", "limits.*", "projects_limits" },
	{ "project", "restricted.containers.interception", "projects_restricted_intercept" },
	{ "project", "restricted.backups restricted.snapshots", "projects_restricted_backups_and_snapshots" },
	{ "project", "restricted.networks.access", "projects_networks_restricted_access" },
	{ "project", "features.*", "projects" },
	{ "server", "backups.compression_algorithm", "backup_compression_algorithm" },
	{ "server", "core.https_allowed_credentials", "https_allowed_credentials" },
	{ "server", "core.https_tls_minimum", "https_tls_minimum" },
	{ "server", "core.https_trusted_proxy", "server_trusted_proxy" },
	{ "server", "core.metrics_address", "metrics" },
	{ "server", "core.metrics_authentication", "metrics_authentication" },
	{ "server", "core.remote_token_expiry", "remote_token_expiry" },
	{ "server", "core.trust_ca_certificates", "trust_ca_certificates" },
	{ "server", "images.compression_algorithm", "image_compression_algorithm" },
	{ "server", "images.default_architecture", "images_default_architecture" },
	{ "server", "instances.nic.host_name", "instances_nic_host_name" },
	{ "network-bridge", "bridge.hwaddr", "network_hwaddr" },
	{ "network-bridge", "dns.search", "network_dns_search" },
	{ "network-bridge", "ipv4.dhcp.expiry ipv6.dhcp.expiry", "network_dhcp_expiry" },
	{ "network-bridge", "ipv4.dhcp.gateway", "network_dhcp_gateway" },
	{ "network-bridge", "ipv4.firewall ipv6.firewall", "network_firewall_filtering" },
	{ "network-bridge", "ipv4.nat.address ipv6.nat.address", "network_nat_address" },
	{ "network-macvlan", "*", "network_type_macvlan" },
	{ "storage-volume-*", "security.shifted", "storage_shifted" },
	{ "storage-volume-*", "security.unmapped", "storage_unmapped" },
	{ "storage-volume-*", "snapshots.expiry", "custom_volume_snapshot_expiry" },
	{ "storage-volume-*", "snapshots.*", "volume_snapshot_scheduling" },
	{ "storage-*", "*", "storage" },
	{ "device-disk", "propagation", "container_mount_propagation" },
	{ "device-disk", "raw.mount.options", "container_raw_mount" },
	{ "device-disk", "shift", "container_disk_shift" },
	{ "device-nic-bridged", "ipv4.routes* ipv6.routes*", "container_nic_routes" },
	{ "device-nic-bridged", "security.ipv4_filtering security.ipv6_filtering", "container_nic_ipfilter" },
	{ "device-nic-bridged", "security.port_isolation", "instance_nic_bridged_port_isolation" },
	{ "device-nic-bridged", "vlan*", "instance_nic_bridged_vlan" },
	{ "device-nic-ipvlan", "ipv4.gateway ipv6.gateway", "container_nic_ipvlan_gateway" },
	{ "device-nic-ipvlan", "ipv4.host_table ipv6.host_table", "container_nic_ipvlan_host_table" },
	{ "device-nic-ipvlan", "mode", "container_nic_ipvlan_mode" },
	{ "device-nic-ipvlan", "type", "container_nic_ipvlan" },
	{ "device-nic-routed", "ipv4.gateway ipv6.gateway", "container_nic_routed_gateway" },
	{ "device-nic-routed", "ipv4.host_address ipv6.host_address", "container_nic_routed_host_address" },
	{ "device-nic-routed", "ipv4.host_table ipv6.host_table", "container_nic_routed_host_table" },
	{ "device-nic-routed", "ipv4.neighbor_probe ipv6.neighbor_probe", "instance_nic_routed_neighbor_probe" },
	{ "device-nic-routed", "limits.*", "container_nic_routed_limits" },
	{ "device-nic-routed", "type", "container_nic_routed" },
	{ "device-nic-*", "gvrp", "network_gvrp" },
	{ "device-nic-*", "network", "instance_nic_network" },
	{ "device-nic-*", "queue.tx.length", "network_txqueuelen" },
	{ "device-proxy", "nat", "proxy_nat" },
	{ "device-proxy", "proxy_protocol", "proxy_haproxy_protocol" },
	{ "device-proxy", "security.*", "unix_priv_drop" },
	{ "device-proxy", "gid mode uid", "proxy_unix_dac_properties" },
	{ "device-proxy", "type", "proxy" },
	{ "device-gpu", "type", "gpu_devices" },
	{ "device-unix-block device-unix-char", "required", "unix_device_hotplug" },
	{ "device-unix-hotplug", "type", "unix_hotplug_devices" },
	{ "device-usb", "type", "usb_devices" },
	{ NULL, NULL, NULL },
};

bool conf_fact_fits(const char *patterns, const char *name)
{
	lxm_auto(strv) struct lxm_strv v = { 0 };
	size_t i;

	lxm_strv_split(&v, patterns, ' ');
	for (i = 0; i < v.n; i++)
		if (fnmatch(v.v[i], name, 0) == 0)
			return true;
	return false;
}

static const char *title_of(const struct conftable *table)
{
	const struct conf_named_table *t = conf_all_tables();

	while (t->table && t->table != table)
		t++;
	return t->table ? t->title : "";
}

/* Is the key one that works, so that only a row about the whole table can refuse it? */
static bool works(const struct conftable *table, const char *key)
{
	size_t i;

	for (i = 0; i < table->n; i++)
		if (fnmatch(table->keys[i].name, key, 0) == 0 && !(table->keys[i].flags & (KEY_LATER | KEY_VM)))
			return true;
	return false;
}

static const char *find(const struct conf_fact *f, const struct conftable *table, const char *key)
{
	const char *title = title_of(table);

	for (; f->keys; f++)
		if (conf_fact_fits(f->keys, key) && conf_fact_fits(f->tables, title))
			return f->text;
	return NULL;
}

const char *conf_refusal(const struct conftable *table, const char *key)
{
	const char *title = title_of(table);
	const struct conf_fact *f;
	bool fine = works(table, key);

	for (f = refusals; f->keys; f++)
		if ((!fine || lxm_streq(f->keys, "*")) && conf_fact_fits(f->keys, key) && conf_fact_fits(f->tables, title))
			return f->text;
	return NULL;
}

const char *conf_rule(const struct conftable *table, const char *key)
{
	return find(rules, table, key);
}

const char *conf_extension(const struct conftable *table, const char *key)
{
	return find(extensions, table, key);
}

const struct conf_fact *conf_refusals(void)
{
	return refusals;
}
