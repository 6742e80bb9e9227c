/* Resources on the screen, see resources.h. */
#include "lxmc/resources.h"

#include <stdio.h>

#include "lib/base/str.h"
#include "lxmc/json.h"
#include "lxmc/out.h"

static void text_line(int indent, const char *label, const char *text)
{
	lxm_auto(free) char *safe = out_safe(text);

	if (*safe)
		printf("%*s%s: %s\n", indent, "", label, safe);
}

static void bytes_line(int indent, const char *label, long long n)
{
	lxm_auto(free) char *text = lxm_format_bytes(n > 0 ? (uint64_t)n : 0);

	printf("%*s%s: %s\n", indent, "", label, text);
}

static void print_cpu(const json_t *cpu)
{
	json_t *socket, *core;
	size_t i, k;

	printf("CPU (%s):\n  Threads: %lld\n", jtext(cpu, "architecture"), jint(cpu, "total"));
	json_array_foreach(json_object_get(cpu, "sockets"), i, socket) {
		size_t threads = 0;

		json_array_foreach(json_object_get(socket, "cores"), k, core)
			threads += json_array_size(json_object_get(core, "threads"));
		printf("  Socket %lld:\n", jint(socket, "socket"));
		text_line(4, "Vendor", jtext(socket, "vendor"));
		text_line(4, "Name", jtext(socket, "name"));
		printf("    Cores: %zu\n    Threads: %zu\n", json_array_size(json_object_get(socket, "cores")), threads);
	}
}

static void print_memory(const json_t *memory)
{
	long long total = jint(memory, "total"), used = jint(memory, "used");

	printf("\nMemory:\n");
	bytes_line(2, "Free", total - used);
	bytes_line(2, "Used", used);
	bytes_line(2, "Total", total);
}

static void print_cards(const char *title, const json_t *list)
{
	json_t *card, *port;
	size_t i, k;

	if (!json_array_size(list))
		return;
	printf("\n%s:\n", title);
	json_array_foreach(list, i, card) {
		printf("  Card %zu:\n", i);
		text_line(4, "Vendor", jtext(card, "vendor"));
		text_line(4, "Product", jtext(card, "product"));
		text_line(4, "Driver", jtext(card, "driver"));
		text_line(4, "PCI address", jtext(card, "pci_address"));
		json_array_foreach(json_object_get(card, "ports"), k, port) {
			text_line(4, "Port", jtext(port, "id"));
			text_line(6, "Address", jtext(port, "address"));
		}
	}
}

static void print_disks(const json_t *list)
{
	json_t *disk;
	size_t i;

	if (!json_array_size(list))
		return;
	printf("\nDisks:\n");
	json_array_foreach(list, i, disk) {
		printf("  Disk %zu:\n", i);
		text_line(4, "ID", jtext(disk, "id"));
		text_line(4, "Device", jtext(disk, "device"));
		text_line(4, "Model", jtext(disk, "model"));
		text_line(4, "Type", jtext(disk, "type"));
		bytes_line(4, "Size", jint(disk, "size"));
		printf("    Read-Only: %s\n", jtrue(disk, "read_only") ? "yes" : "no");
	}
}

void resources_print(const json_t *resources)
{
	const json_t *system = json_object_get(resources, "system");

	if (json_is_object(system)) {
		printf("System:\n");
		text_line(2, "Vendor", jtext(system, "vendor"));
		text_line(2, "Product", jtext(system, "product"));
		text_line(2, "Type", jtext(system, "type"));
		printf("\n");
	}
	print_cpu(json_object_get(resources, "cpu"));
	print_memory(json_object_get(resources, "memory"));
	print_cards("GPUs", json_object_get(json_object_get(resources, "gpu"), "cards"));
	print_cards("NICs", json_object_get(json_object_get(resources, "network"), "cards"));
	print_disks(json_object_get(json_object_get(resources, "storage"), "disks"));
}
