/* The handlers that the verb table names, grouped by the file that holds them. Each as struct verb's `run`. */
#ifndef LXM_LXMC_VERB_H
#define LXM_LXMC_VERB_H

#include "lxmc/cli.h"

#define VERB(name) int verb_##name(struct cli *cli, struct lxm_err *e)

/* launch.c */
VERB(init);
VERB(launch);
/* list.c, info.c */
VERB(list);
VERB(info);
/* state.c: verb->data is the action ("start") */
VERB(state);
VERB(delete);
/* top.c */
VERB(top);
/* exec.c, console.c */
VERB(exec);
VERB(shell);
VERB(console);
/* snapshot.c */
VERB(snapshot);
VERB(restore);
VERB(copy);
VERB(move);
VERB(publish);
/* export.c */
VERB(export);
VERB(import);
/* entity.c: verb->data is a struct entity */
VERB(entity_list);
VERB(entity_show);
VERB(entity_create);
VERB(entity_delete);
VERB(entity_rename);
VERB(entity_edit);
VERB(entity_get);
VERB(entity_set);
VERB(entity_unset);
/* config.c: instance or, without one, server */
VERB(config_get);
VERB(config_keys);
VERB(config_set);
VERB(config_unset);
VERB(config_show);
VERB(config_edit);
/* config_template.c: verb->data of edit: NULL to create */
VERB(config_template_list);
VERB(config_template_show);
VERB(config_template_edit);
VERB(config_template_delete);
VERB(rebuild);
/* device.c: verb->data is a struct entity */
VERB(device_add);
VERB(device_remove);
VERB(device_set);
VERB(device_get);
VERB(device_unset);
VERB(device_list);
VERB(device_show);
VERB(device_override);
/* profile.c */
VERB(profile_copy);
/* shipped.c */
VERB(profile_load);
VERB(profile_add);
VERB(profile_remove);
VERB(profile_assign);
/* image.c, image_import.c, image_export.c, image_copy.c, template.c */
VERB(image_list);
VERB(image_info);
VERB(image_delete);
VERB(image_show);
VERB(image_edit);
VERB(image_alias_list);
VERB(image_alias_create);
VERB(image_import);
VERB(image_copy);
VERB(image_export);
VERB(image_build);
VERB(template_list);
VERB(template_show);
/* network.c, storage.c */
VERB(network_info);
VERB(network_leases);
VERB(network_attach);
VERB(network_detach);
VERB(storage_create);
VERB(storage_info);
VERB(volume_list);
VERB(volume_show);
/* volume.c: verb->data of attach and detach is a struct entity */
VERB(volume_create);
VERB(volume_delete);
VERB(volume_rename);
VERB(volume_copy);
VERB(volume_move);
VERB(volume_snapshot);
VERB(volume_restore);
VERB(volume_info);
VERB(volume_attach);
VERB(volume_detach);
/* server.c */
VERB(operation_list);
VERB(operation_delete);
VERB(warning_list);
VERB(warning_ack);
VERB(warning_delete);
VERB(project_switch);
VERB(query);
VERB(version);
/* project.c */
VERB(project_info);
/* remote.c, remote_add.c */
VERB(remote_list);
VERB(remote_add);
VERB(remote_remove);
VERB(remote_rename);
VERB(remote_switch);
VERB(remote_get_default);
VERB(remote_set_url);
VERB(remote_get_certificate);
VERB(remote_generate_certificate);
/* trust.c */
VERB(trust_add);
VERB(trust_list);
VERB(trust_remove);
VERB(trust_list_tokens);
VERB(trust_revoke_token);
/* group.c */
VERB(group_add);
VERB(group_remove);
VERB(group_list);
VERB(group_show);
/* monitor.c */
VERB(monitor);
/* file.c, file_push.c, file_pull.c */
VERB(file_push);
VERB(file_pull);
VERB(file_delete);
VERB(file_mkdir);
VERB(file_edit);
/* file_mount.c */
VERB(file_mount);
/* admin.c, admin_init.c */
VERB(admin_init);
VERB(admin_waitready);
VERB(admin_shutdown);
VERB(admin_sql);
/* complete.c */
VERB(help);
VERB(completion);
VERB(complete);

#undef VERB

#endif
