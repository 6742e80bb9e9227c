/* PCI, USB, GPU, network cards and disks, from /sys. Any thread. */
#include <limits.h>
#include <string.h>

#include "lib/api/json.h"
#include "lib/base/alloc.h"
#include "lib/base/fd.h"
#include "lxmd/api/resources.h"

/* Name of a vendor or product from the table that pciutils or hwdata installs; "" without it. */
static char *id_name(int root, const char *table, const char *vendor, const char *product)
{
	lxm_auto(buf) struct lxm_buf text = { 0 };
	char path[64], key[16];
	const char *v, *end, *p;

	(void)snprintf(path, sizeof(path), "usr/share/misc/%s", table);
	if (!vendor[0] || lxm_read_file_at(root, path, 8 << 20, &text) < 0 || !text.data)
		return lxm_strdup("");
	(void)snprintf(key, sizeof(key), "\n%.4s  ", vendor);
	v = strstr(text.data, key);
	if (!v)
		return lxm_strdup("");
	v += strlen(key);
	if (!product)
		return lxm_strndup(v, strcspn(v, "\n"));
	(void)snprintf(key, sizeof(key), "\n\t%.4s  ", product);
	p = strstr(v, key);
	/* before the next vendor's line, which starts with neither tab nor hash */
	for (end = strchr(v, '\n'); end && (end[1] == '\t' || end[1] == '#'); end = strchr(end + 1, '\n'))
		;
	if (!p || (end && p > end))
		return lxm_strdup("");
	p += strlen(key);
	return lxm_strndup(p, strcspn(p, "\n"));
}

static void set(json_t *o, const char *key, const char *value)
{
	json_object_set_new(o, key, js_string(value));
}

/* "0x8086" -> "8086" */
static void pci_id(int root, char out[16], const char *dev, const char *file)
{
	char text[16];

	sys_str(root, text, sizeof(text), "%s/%s", dev, file);
	(void)snprintf(out, 16, "%s", lxm_starts(text, "0x") ? text + 2 : text);
}

void resources_identify(int root, const char *dev, json_t *o)
{
	char driver[64], address[64], vendor[16], product[16], version[64], kernel[128];
	lxm_auto(free) char *vendor_name = NULL, *product_name = NULL;
	int64_t numa = sys_int(root, 0, "%s/numa_node", dev);

	sys_link(root, driver, sizeof(driver), "%s/driver", dev);
	sys_link(root, address, sizeof(address), "%s", dev);
	pci_id(root, vendor, dev, "vendor");
	pci_id(root, product, dev, "device");
	/* modules of the kernel's own tree have no version but the kernel's */
	if (!*driver || !sys_str(root, version, sizeof(version), "sys/module/%s/version", driver)) {
		sys_str(root, kernel, sizeof(kernel), "proc/sys/kernel/osrelease");
		(void)snprintf(version, sizeof(version), "%.60s", *driver ? kernel : "");
	}
	vendor_name = id_name(root, "pci.ids", vendor, NULL);
	product_name = id_name(root, "pci.ids", vendor, product);
	set(o, "driver", driver);
	set(o, "driver_version", version);
	set(o, "vendor", vendor_name);
	set(o, "vendor_id", vendor);
	set(o, "product", product_name);
	set(o, "product_id", product);
	json_object_set_new(o, "numa_node", json_integer(numa < 0 ? 0 : numa));
	/* 0000:01:00.0; a virtio or USB device has another kind of name */
	if (strlen(address) == 12 && address[4] == ':' && address[10] == '.')
		set(o, "pci_address", address);
}

static json_t *listing(const char *key, json_t *items)
{
	return json_pack("{s:I, s:o}", "total", (json_int_t)json_array_size(items), key, items);
}

json_t *resources_pci(int root)
{
	lxm_auto(strv) struct lxm_strv names = { 0 };
	json_t *out = json_array();
	size_t i;

	sys_list(root, &names, "sys/bus/pci/devices");
	for (i = 0; i < names.n; i++) {
		char dev[PATH_MAX], group[32];
		json_t *o = json_object();

		(void)snprintf(dev, sizeof(dev), "sys/bus/pci/devices/%s", names.v[i]);
		resources_identify(root, dev, o);
		set(o, "pci_address", names.v[i]);
		sys_link(root, group, sizeof(group), "%s/iommu_group", dev);
		json_object_set_new(o, "iommu_group", json_integer(*group ? atoll(group) : 0));
		json_object_set_new(o, "vpd", json_object());
		json_array_append_new(out, o);
	}
	return listing("devices", out);
}

static json_t *usb_interfaces(int root, const char *device, const struct lxm_strv *names)
{
	json_t *out = json_array();
	size_t i, n = strlen(device);

	for (i = 0; i < names->n; i++) {
		char driver[64], class[8], sub[8];

		/* "1-2:1.0" belongs to "1-2" */
		if (strncmp(names->v[i], device, n) != 0 || names->v[i][n] != ':')
			continue;
		sys_link(root, driver, sizeof(driver), "sys/bus/usb/devices/%s/driver", names->v[i]);
		sys_str(root, class, sizeof(class), "sys/bus/usb/devices/%s/bInterfaceClass", names->v[i]);
		sys_str(root, sub, sizeof(sub), "sys/bus/usb/devices/%s/bInterfaceSubClass", names->v[i]);
		json_array_append_new(out, json_pack("{s:s, s:I, s:s, s:I, s:s, s:s, s:I}", "class", "", "class_id",
						     (json_int_t)strtol(class, NULL, 16), "subclass", "", "subclass_id",
						     (json_int_t)strtol(sub, NULL, 16), "driver", driver,
						     "driver_version", "", "number",
						     (json_int_t)sys_int(root, 0,
									 "sys/bus/usb/devices/%s/bInterfaceNumber",
									 names->v[i])));
	}
	return out;
}

json_t *resources_usb(int root)
{
	lxm_auto(strv) struct lxm_strv names = { 0 };
	json_t *out = json_array();
	size_t i;

	sys_list(root, &names, "sys/bus/usb/devices");
	for (i = 0; i < names.n; i++) {
		static const char *const files[][2] = { { "product", "product" },
							{ "product_id", "idProduct" },
							{ "vendor", "manufacturer" },
							{ "vendor_id", "idVendor" },
							{ "serial", "serial" } };
		char text[256];
		json_t *o;
		size_t k;

		sys_str(root, text, sizeof(text), "sys/bus/usb/devices/%s/bDeviceClass", names.v[i]);
		if (strchr(names.v[i], ':') || strcmp(text, "09") == 0)
			continue; /* interfaces, hubs */
		o = json_pack("{s:I, s:I, s:o}", "bus_address",
			      (json_int_t)sys_int(root, 0, "sys/bus/usb/devices/%s/busnum", names.v[i]), "device_address",
			      (json_int_t)sys_int(root, 0, "sys/bus/usb/devices/%s/devnum", names.v[i]), "interfaces",
			      usb_interfaces(root, names.v[i], &names));
		for (k = 0; k < LXM_ARRAY_LEN(files); k++) {
			sys_str(root, text, sizeof(text), "sys/bus/usb/devices/%s/%s", names.v[i], files[k][1]);
			set(o, files[k][0], text);
		}
		sys_str(root, text, sizeof(text), "sys/bus/usb/devices/%s/speed", names.v[i]);
		json_object_set_new(o, "speed", json_real(atof(text)));
		json_array_append_new(out, o);
	}
	return listing("devices", out);
}

static void drm_node(int root, json_t *drm, const char *dev, const char *prefix, const char *name_key,
		     const char *dev_key)
{
	lxm_auto(strv) struct lxm_strv names = { 0 };
	char number[32];
	size_t i, n = strlen(prefix);

	sys_list(root, &names, "%s/drm", dev);
	for (i = 0; i < names.n; i++) {
		if (strncmp(names.v[i], prefix, n) != 0 || strspn(names.v[i] + n, "0123456789") != strlen(names.v[i] + n))
			continue;
		sys_str(root, number, sizeof(number), "%s/drm/%s/dev", dev, names.v[i]);
		set(drm, name_key, names.v[i]);
		set(drm, dev_key, number);
		if (strcmp(prefix, "card") == 0)
			json_object_set_new(drm, "id", json_integer(atoll(names.v[i] + n)));
		return;
	}
}

json_t *resources_gpu(int root)
{
	lxm_auto(strv) struct lxm_strv names = { 0 };
	json_t *out = json_array();
	size_t i;

	sys_list(root, &names, "sys/bus/pci/devices");
	for (i = 0; i < names.n; i++) {
		char dev[PATH_MAX];
		json_t *o, *drm;

		(void)snprintf(dev, sizeof(dev), "sys/bus/pci/devices/%s", names.v[i]);
		if (sys_int(root, 0, "%s/class", dev) >> 16 != 0x03)
			continue; /* display controllers */
		o = json_object();
		resources_identify(root, dev, o);
		set(o, "pci_address", names.v[i]);
		drm = json_pack("{s:i}", "id", 0);
		drm_node(root, drm, dev, "card", "card_name", "card_device");
		drm_node(root, drm, dev, "renderD", "render_name", "render_device");
		if (json_object_get(drm, "card_name"))
			json_object_set(o, "drm", drm);
		json_decref(drm);
		json_array_append_new(out, o);
	}
	return listing("cards", out);
}

static json_t *port_json(int root, const char *name)
{
	char address[64], duplex[16];
	int64_t speed = sys_int(root, 0, "sys/class/net/%s/speed", name);
	bool up = sys_int(root, 0, "sys/class/net/%s/carrier", name) == 1;
	json_t *o;

	sys_str(root, address, sizeof(address), "sys/class/net/%s/address", name);
	sys_str(root, duplex, sizeof(duplex), "sys/class/net/%s/duplex", name);
	o = json_pack("{s:s, s:s, s:s, s:I, s:b, s:b}", "id", name, "address", address, "protocol",
		      sys_int(root, 1, "sys/class/net/%s/type", name) == 32 ? "infiniband" : "ethernet", "port",
		      (json_int_t)sys_int(root, 0, "sys/class/net/%s/dev_port", name), "link_detected", up,
		      "auto_negotiation", 0);
	if (up && speed > 0) {
		json_object_set_new(o, "link_speed", json_integer(speed));
		set(o, "link_duplex", duplex);
	}
	return o;
}

json_t *resources_network(int root)
{
	lxm_auto(strv) struct lxm_strv names = { 0 };
	json_t *out = json_array(), *card = NULL;
	size_t i, k;

	sys_list(root, &names, "sys/class/net");
	for (i = 0; i < names.n; i++) {
		char dev[PATH_MAX], device[PATH_MAX];

		(void)snprintf(dev, sizeof(dev), "sys/class/net/%s/device", names.v[i]);
		if (!sys_link(root, device, sizeof(device), "%s", dev))
			continue; /* bridges, veths and other links without hardware */
		/* several ports may be one card */
		json_array_foreach(out, k, card)
			if (lxm_streq(js_str(card, "\t"), device))
				break;
		if (k == json_array_size(out)) {
			card = json_pack("{s:o, s:s}", "ports", json_array(), "\t", device);
			resources_identify(root, dev, card);
			json_array_append_new(out, card);
		}
		json_array_append_new(json_object_get(card, "ports"), port_json(root, names.v[i]));
	}
	json_array_foreach(out, k, card)
		json_object_del(card, "\t");
	return listing("cards", out);
}

static json_t *partitions(int root, const char *disk)
{
	lxm_auto(strv) struct lxm_strv names = { 0 };
	json_t *out = json_array();
	char dev[32];
	size_t i;

	sys_list(root, &names, "sys/class/block/%s", disk);
	for (i = 0; i < names.n; i++) {
		int64_t n = sys_int(root, -1, "sys/class/block/%s/%s/partition", disk, names.v[i]);

		if (n < 0)
			continue;
		sys_str(root, dev, sizeof(dev), "sys/class/block/%s/%s/dev", disk, names.v[i]);
		json_array_append_new(out, json_pack("{s:s, s:s, s:I, s:I, s:b}", "id", names.v[i], "device", dev,
						     "partition", (json_int_t)n, "size",
						     (json_int_t)sys_int(root, 0, "sys/class/block/%s/%s/size", disk,
									 names.v[i]) *
							     512,
						     "read_only",
						     sys_int(root, 0, "sys/class/block/%s/%s/ro", disk, names.v[i]) == 1));
	}
	return out;
}

static const char *disk_type(const char *name, const char *subsystem)
{
	if (lxm_starts(name, "nvme"))
		return "nvme";
	return strcmp(subsystem, "scsi") == 0 ? "scsi" : strcmp(subsystem, "virtio") == 0 ? "virtio" : subsystem;
}

static json_t *disk_json(int root, const char *name)
{
	static const char *const files[][2] = { { "model", "device/model" },
						{ "serial", "device/serial" },
						{ "firmware_version", "device/firmware_rev" },
						{ "wwn", "wwid" },
						{ "device", "dev" } };
	int64_t numa = sys_int(root, 0, "sys/class/block/%s/device/numa_node", name);
	char subsystem[32], text[256];
	json_t *o;
	size_t k;

	sys_link(root, subsystem, sizeof(subsystem), "sys/class/block/%s/device/subsystem", name);
	o = json_pack("{s:s, s:s, s:I, s:I, s:b, s:b, s:I, s:I, s:o}", "id", name, "type", disk_type(name, subsystem),
		      "size", (json_int_t)sys_int(root, 0, "sys/class/block/%s/size", name) * 512, "block_size",
		      (json_int_t)sys_int(root, 512, "sys/class/block/%s/queue/physical_block_size", name), "read_only",
		      sys_int(root, 0, "sys/class/block/%s/ro", name) == 1, "removable",
		      sys_int(root, 0, "sys/class/block/%s/removable", name) == 1,
		      /* the kernel tells only whether it turns */
		      "rpm", (json_int_t)sys_int(root, 0, "sys/class/block/%s/queue/rotational", name), "numa_node",
		      (json_int_t)(numa < 0 ? 0 : numa), "partitions", partitions(root, name));
	for (k = 0; k < LXM_ARRAY_LEN(files); k++) {
		sys_str(root, text, sizeof(text), "sys/class/block/%s/%s", name, files[k][1]);
		set(o, files[k][0], text);
	}
	return o;
}

json_t *resources_storage(int root)
{
	lxm_auto(strv) struct lxm_strv names = { 0 };
	json_t *out = json_array();
	char device[256];
	size_t i;

	sys_list(root, &names, "sys/class/block");
	for (i = 0; i < names.n; i++)
		/* loop, ram, dm and md devices have no hardware; partitions come with their disk */
		if (sys_link(root, device, sizeof(device), "sys/class/block/%s/device", names.v[i]))
			json_array_append_new(out, disk_json(root, names.v[i]));
	return listing("disks", out);
}
