/* The handlers that routes.c names, one block for each file of lxmd/api; and the advertised extensions. */
#ifndef LXMD_API_API_H
#define LXMD_API_API_H

#include "lxmd/http/request.h"

/* Each is a handler_fn (see lxmd/http/request.h). Keep the blocks in the order of the file names. */
#define API_HANDLER(name) int name(struct request *rq, struct lxm_err *e)

/* certificates.c */
API_HANDLER(api_certificates_get);
API_HANDLER(api_certificates_post);
API_HANDLER(api_certificate_get);
API_HANDLER(api_certificate_put);
API_HANDLER(api_certificate_patch);
API_HANDLER(api_certificate_delete);

/* events.c */
API_HANDLER(api_events_get);

/* image_aliases.c */
API_HANDLER(api_image_aliases_get);
API_HANDLER(api_image_aliases_post);
API_HANDLER(api_image_alias_get);
API_HANDLER(api_image_alias_put);
API_HANDLER(api_image_alias_patch);
API_HANDLER(api_image_alias_post);
API_HANDLER(api_image_alias_delete);

/* image_export.c */
API_HANDLER(api_image_export_get);

/* image_import.c */
API_HANDLER(api_images_post);

/* image_pull.c */
/** The part of POST /1.0/images for images of other servers; body and source borrowed. Answers as a handler does. */
int api_image_pull(struct request *rq, json_t *body, json_t *source, struct lxm_err *e);

/* image_push.c */
/** The part of POST /1.0/images that opens a slot for a push; body and source borrowed. Answers as a handler does. */
int api_image_slot(struct request *rq, json_t *body, json_t *source, struct lxm_err *e);
API_HANDLER(api_image_export_post);

/* images.c */
API_HANDLER(api_images_get);
API_HANDLER(api_image_get);
API_HANDLER(api_image_put);
API_HANDLER(api_image_patch);
API_HANDLER(api_image_delete);
API_HANDLER(api_image_refresh_post);
API_HANDLER(api_image_secret_post);

/* instance.c */
API_HANDLER(api_instance_get);
API_HANDLER(api_instance_put);
API_HANDLER(api_instance_patch);
API_HANDLER(api_instance_post);
API_HANDLER(api_instance_delete);
API_HANDLER(api_instance_exec_get);
API_HANDLER(api_instance_exec_post);
API_HANDLER(api_instance_files_get);
API_HANDLER(api_instance_files_post);
API_HANDLER(api_instance_files_delete);
API_HANDLER(api_instance_sftp_get);
API_HANDLER(api_instance_console_post);
API_HANDLER(api_instance_console_get);
API_HANDLER(api_instance_console_delete);

/* instance_logs.c */
API_HANDLER(api_instance_logs_get);
API_HANDLER(api_instance_log_get);
API_HANDLER(api_instance_log_delete);

/* instance_metadata.c */
API_HANDLER(api_instance_metadata_get);
API_HANDLER(api_instance_metadata_put);
API_HANDLER(api_instance_metadata_patch);
API_HANDLER(api_instance_templates_get);
API_HANDLER(api_instance_templates_post);
API_HANDLER(api_instance_templates_delete);

/* instance_rebuild.c */
API_HANDLER(api_instance_rebuild_post);

/* instance_backups.c */
API_HANDLER(api_instance_backups_get);
API_HANDLER(api_instance_backups_post);
API_HANDLER(api_instance_backup_get);
API_HANDLER(api_instance_backup_post);
API_HANDLER(api_instance_backup_delete);
API_HANDLER(api_instance_backup_export_get);

/* instance_snapshots.c */
API_HANDLER(api_instance_snapshots_get);
API_HANDLER(api_instance_snapshots_post);
API_HANDLER(api_instance_snapshot_get);
API_HANDLER(api_instance_snapshot_put);
API_HANDLER(api_instance_snapshot_patch);
API_HANDLER(api_instance_snapshot_post);
API_HANDLER(api_instance_snapshot_delete);

/* instance_state.c */
API_HANDLER(api_instance_state_get);
API_HANDLER(api_instance_state_put);

/* instances.c */
API_HANDLER(api_instances_get);
API_HANDLER(api_instances_post);
API_HANDLER(api_instances_put);

/* internal.c */
API_HANDLER(api_internal_ready_get);
API_HANDLER(api_internal_reload_put);
API_HANDLER(api_internal_shutdown_put);

/* metadata.c */
API_HANDLER(api_cluster_get);
API_HANDLER(api_metadata_configuration_get);

/* metrics.c */
API_HANDLER(api_metrics_get);

/* networks.c */
API_HANDLER(api_networks_get);
API_HANDLER(api_networks_post);
API_HANDLER(api_network_get);
API_HANDLER(api_network_put);
API_HANDLER(api_network_patch);
API_HANDLER(api_network_post);
API_HANDLER(api_network_delete);
API_HANDLER(api_network_state_get);
API_HANDLER(api_network_leases_get);

/* operations.c */
API_HANDLER(api_operations_get);
API_HANDLER(api_operation_get);
API_HANDLER(api_operation_delete);
API_HANDLER(api_operation_wait_get);
API_HANDLER(api_operation_websocket_get);

/* profiles.c */
API_HANDLER(api_profiles_get);
API_HANDLER(api_profiles_post);
API_HANDLER(api_profile_get);
API_HANDLER(api_profile_put);
API_HANDLER(api_profile_patch);
API_HANDLER(api_profile_post);
API_HANDLER(api_profile_delete);

/* project_state.c */
API_HANDLER(api_project_state_get);

/* projects.c */
API_HANDLER(api_projects_get);
API_HANDLER(api_projects_post);
API_HANDLER(api_project_get);
API_HANDLER(api_project_put);
API_HANDLER(api_project_patch);
API_HANDLER(api_project_post);
API_HANDLER(api_project_delete);

/* resources.c */
API_HANDLER(api_resources_get);

/* server.c */
API_HANDLER(api_root_get);
API_HANDLER(api_server_get);
API_HANDLER(api_server_put);
API_HANDLER(api_server_patch);

/* storage_pools.c */
API_HANDLER(api_storage_pools_get);
API_HANDLER(api_storage_pools_post);
API_HANDLER(api_storage_pool_get);
API_HANDLER(api_storage_pool_put);
API_HANDLER(api_storage_pool_patch);
API_HANDLER(api_storage_pool_delete);
API_HANDLER(api_storage_pool_resources_get);

/* storage_volume_copy.c */
API_HANDLER(api_volume_post);

/* storage_volume_snapshots.c */
API_HANDLER(api_volume_snapshots_get);
API_HANDLER(api_volume_snapshots_post);
API_HANDLER(api_volume_snapshot_get);
API_HANDLER(api_volume_snapshot_put);
API_HANDLER(api_volume_snapshot_patch);
API_HANDLER(api_volume_snapshot_post);
API_HANDLER(api_volume_snapshot_delete);

/* storage_volumes.c */
API_HANDLER(api_volumes_get);
API_HANDLER(api_volumes_post);
API_HANDLER(api_volumes_type_get);
API_HANDLER(api_volumes_type_post);
API_HANDLER(api_volume_get);
API_HANDLER(api_volume_put);
API_HANDLER(api_volume_patch);
API_HANDLER(api_volume_delete);
API_HANDLER(api_volume_state_get);

/* templates.c */
API_HANDLER(api_template_get);
API_HANDLER(api_templates_get);
/**
 * The part of POST /1.0/images for source.type "template".
 *
 * @source  the body's `source` object; borrowed
 *
 * Answers as a handler does (see above): 0 after the reply, or < 0 with e.
 */
int api_template_build(struct request *rq, const json_t *source, struct lxm_err *e);

/* warnings.c */
API_HANDLER(api_warnings_get);
API_HANDLER(api_warning_get);
API_HANDLER(api_warning_put);
API_HANDLER(api_warning_delete);

/** NULL-terminated names of the API extensions that work, in the order of extensions.c. Any thread. */
const char *const *api_extensions(void);

#endif
