/*
 * The API extensions that lxmd advertises: each name is a promise that the feature works as clients expect
 * (doc/api-extensions.md). A row is added with the code that keeps it, in the block of its owner's room.
 */
#include "lxmd/api/api.h"

#include <stddef.h>

static const char *const extensions[] = {
	/* server, operations, events */
	"api_filtering",
	"api_os",
	"etag",
	"event_lifecycle",
	"event_lifecycle_requestor_address",
	"kernel_features",
	"operation_description",
	"patch",
	/* profiles, projects, warnings, resources, certificates */
	"certificate_description",
	"certificate_project",
	"certificate_self_renewal",
	"certificate_token",
	"certificate_update",
	"explicit_trust_token",
	"metadata_configuration",
	"metrics",
	"metrics_cpu_effective_total",
	"metrics_memory_oom_total",
	"profile_usedby",
	"project_usage",
	"projects",
	"resources",
	"resources_gpu",
	"resources_pci",
	"resources_system",
	"resources_usb",
	"resources_v2",
	"warnings",
	/* networks and NICs */
	"container_nic_ipfilter",
	"instance_nic_network",
	"network",
	"network_dhcp_expiry",
	"network_dhcp_gateway",
	"network_dns_search",
	"network_firewall_filtering",
	"network_hwaddr",
	"network_leases",
	"network_leases_location",
	"network_nat_address",
	"network_state",
	/* instances */
	"console",
	"container_copy_project",
	"container_edit_metadata",
	"container_exec_recording",
	"container_exec_user_group_cwd",
	"container_full",
	"container_incremental_copy",
	"container_only_migration",
	"devlxd_events",
	"devlxd_images",
	"directory_manipulation",
	"entity_description",
	"file_append",
	"file_delete",
	"file_get_symlink",
	"file_symlinks",
	"instance_all_projects",
	"instance_allow_inconsistent_copy",
	"instance_bulk_state_change",
	"instance_create_start",
	"instance_get_full",
	"instance_pool_move",
	"instance_ready_state",
	"instances",
	"instances_rebuild",
	"restrict_devlxd",
	"snapshot_expiry",
	"snapshot_expiry_creation",
	"snapshot_schedule",
	"snapshot_schedule_aliases",
	"usedby_consistency",
	/* images, storage pools */
	"image_compression_algorithm",
	"image_create_aliases",
	"image_profiles",
	"image_templates",
	"image_types",
	"storage",
	"storage_api_volume_rename",
	"storage_volume_state",
	NULL,
};

const char *const *api_extensions(void)
{
	return extensions;
}
