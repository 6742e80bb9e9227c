/* THE verb table: help, usage, completion and dispatch all come from it. Adding a verb is a row and a handler. */
#include "lxmc/entity.h"
#include "lxmc/out.h"
#include "lxmc/verb.h"

/* Options of one verb, or shared by a few. */
#define FLAGS(...) ((const struct flag[]){ __VA_ARGS__, { 0, NULL, NULL, NULL } })

#define F_FORMAT   FLAGS(FORMAT_FLAG)
#define F_PROPERTY FLAGS({ 'p', "property", NULL, "The key is a property of the object, not of its configuration" })
#define F_OBJECT   FLAGS({ 'f', "format", "FORMAT", "yaml or json" })
#define F_FORCE	   FLAGS({ 'f', "force", NULL, "Overwrite files that exist" })
#define F_DESCRIPTION FLAGS({ 0, "description", "TEXT", "Description" })

static const struct flag create_flags[] = {
	{ 'c', "config", "KEY=VALUE", "Configuration key (repeatable)" },
	{ 'd', "device", "DEVICE,KEY=VALUE", "Device to add, or what to change on a profile's (repeatable)" },
	{ 'p', "profile", "PROFILE", "Profile to apply instead of default (repeatable)" },
	{ 0, "no-profiles", NULL, "Apply no profile at all" },
	{ 's', "storage", "POOL", "Storage pool for the root disk" },
	{ 'n', "network", "NETWORK", "Network for eth0" },
	{ 't', "type", "TYPE", "Size of the instance (c2-m4)" },
	{ 'e', "ephemeral", NULL, "Delete the instance when it stops" },
	{ 0, "config-file", "FILE", "YAML with config, devices and more to start from; stdin is read the same way" },
	{ 0, "description", "TEXT", "Description" },
	{ 0, "empty", NULL, "Without an image" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag list_flags[] = {
	FORMAT_FLAG,
	{ 'c', "columns", "COLUMNS",
	  "n name, s state, 4 IPv4, 6 IPv6, t type, S snapshots, a architecture, b pool, c created, d description, "
	  "D disk, e project, f F image, l last used, L location, m M memory, N processes, p PID, P profiles, u CPU; "
	  "or KEY:HEAD:WIDTH after a comma" },
	{ 0, "fast", NULL, "Only columns that cost little (nsacPt)" },
	{ 0, "all-projects", NULL, "Instances of all projects" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag top_flags[] = {
	FORMAT_FLAG,
	{ 's', "sort", "ORDER", "cpu, memory, disk, network, processes or name" },
	{ 0, "delay", "SECONDS", "Between two looks (default 3)" },
	{ 0, "once", NULL, "Two looks, print what was between them, and end (so without a terminal, or with -f)" },
	{ 0, "all-projects", NULL, "Instances of all projects" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag volume_create_flags[] = {
	{ 't', "type", "TYPE", "filesystem or block" },
	{ 0, "description", "TEXT", "Description" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag volume_copy_flags[] = {
	{ 0, "volume-only", NULL, "Without its snapshots" },
	{ 0, "refresh", NULL, "Bring an earlier copy in line" },
	{ 0, "target-project", "PROJECT", "Project of the copy" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag volume_move_flags[] = {
	{ 0, "target-project", "PROJECT", "Into this project" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag volume_snapshot_flags[] = {
	{ 0, "no-expiry", NULL, "Keep it for ever, whatever snapshots.expiry says" },
	{ 0, "expires-at", "TIME", "When it is deleted (RFC 3339)" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag start_flags[] = {
	{ 0, "all", NULL, "All instances of the project" },
	{ 0, "console", NULL, "Attach to the console afterwards" },
	{ 0, "stateful", NULL, "Restore the saved state (lxm saves none)" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag stop_flags[] = {
	{ 'f', "force", NULL, "Kill instead of asking" },
	{ 0, "timeout", "SECONDS", "How long to wait for a clean stop (default: for ever)" },
	{ 0, "all", NULL, "All instances of the project" },
	{ 0, "stateful", NULL, "Save the running state (lxm cannot)" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag all_flags[] = {
	{ 0, "all", NULL, "All instances of the project" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag delete_flags[] = {
	{ 'f', "force", NULL, "Stop running instances first" },
	{ 'i', "interactive", NULL, "Ask before each" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag exec_flags[] = {
	{ 0, "env", "KEY=VALUE", "Environment variable (repeatable)" },
	{ 0, "cwd", "DIRECTORY", "Directory to run in" },
	{ 0, "user", "UID", "User to run as (a number)" },
	{ 0, "group", "GID", "Group to run as (a number)" },
	{ 't', "force-interactive", NULL, "With a terminal, whatever stdin is" },
	{ 'T', "force-noninteractive", NULL, "With pipes, also on a terminal" },
	{ 'n', "disable-stdin", NULL, "Without input" },
	{ 0, "mode", "MODE", "auto, interactive or non-interactive" },
	{ 0, "reattach", NULL, "Go on with a command that outlived its server: --reattach [SESSION] INSTANCE" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag shell_flags[] = {
	{ 'u', "login", "USER", "Whose login shell (default root)" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag stateful_flags[] = {
	{ 0, "stateful", NULL, "With the running state (lxm saves none)" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag console_flags[] = {
	{ 0, "show-log", NULL, "Print what the console said so far" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag info_flags[] = {
	{ 0, "resources", NULL, "What the host has" },
	{ 0, "show-log", NULL, "The instance's last log lines too" },
	{ 'f', "format", "FORMAT", "yaml or json instead of text" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag expanded_flags[] = {
	{ 'e', "expanded", NULL, "With what profiles add" },
	{ 'f', "format", "FORMAT", "yaml or json" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag get_flags[] = {
	{ 'e', "expanded", NULL, "With what profiles add" },
	{ 'p', "property", NULL, "The key is a property of the object, not of its configuration" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag copy_flags[] = {
	{ 'c', "config", "KEY=VALUE", "Configuration key to change (repeatable)" },
	{ 'p', "profile", "PROFILE", "Profile to apply instead (repeatable)" },
	{ 0, "no-profiles", NULL, "Apply no profile at all" },
	{ 'd', "device", "DEVICE,KEY=VALUE", "Device to add or change (repeatable)" },
	{ 's', "storage", "POOL", "Storage pool for the copy" },
	{ 0, "mode", "TRANSFER-MODE", "Between servers: pull, push or relay (default: what their addresses allow)" },
	{ 0, "stateless", NULL, "Without the running state" },
	{ 'e', "ephemeral", NULL, "Delete the copy when it stops" },
	{ 0, "instance-only", NULL, "Without snapshots" },
	{ 0, "refresh", NULL, "Bring an earlier copy up to date" },
	{ 0, "allow-inconsistent", NULL, "Do not keep a running instance still meanwhile" },
	{ 0, "target-project", "PROJECT", "Into this project" },
	{ 0, "stateful", NULL, "With the running state (lxm saves none)" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag rebuild_flags[] = {
	{ 0, "empty", NULL, "Without an image" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag move_flags[] = {
	{ 'c', "config", "KEY=VALUE", "Configuration key to change, to another server (repeatable)" },
	{ 'd', "device", "DEVICE,KEY=VALUE", "Device to add or change, to another server (repeatable)" },
	{ 'p', "profile", "PROFILE", "Profile to apply instead, to another server (repeatable)" },
	{ 0, "no-profiles", NULL, "Apply no profile at all, to another server" },
	{ 0, "instance-only", NULL, "Without snapshots, to another server" },
	{ 0, "mode", "TRANSFER-MODE", "Between servers: pull, push or relay (default: what their addresses allow)" },
	{ 0, "stateless", NULL, "Without the running state" },
	{ 0, "stateful", NULL, "With the running state (lxm saves none)" },
	{ 0, "allow-inconsistent", NULL, "Do not keep a running instance still meanwhile" },
	{ 's', "storage", "POOL", "Into this storage pool" },
	{ 0, "target-project", "PROJECT", "Into this project" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag snapshot_flags[] = {
	{ 0, "stateful", NULL, "With the running state (lxm saves none)" },
	{ 0, "no-expiry", NULL, "Keep it, whatever the instance's snapshots.expiry says" },
	{ 0, "expires-at", "TIME", "When to delete it (RFC 3339)" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag publish_flags[] = {
	{ 0, "alias", "ALIAS", "Name for the image (repeatable)" },
	{ 0, "public", NULL, "Anybody may fetch it" },
	{ 'f', "force", NULL, "Stop it for that if it runs, and start it again" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag export_flags[] = {
	{ 0, "instance-only", NULL, "Without snapshots" },
	{ 0, "compression", "ALGORITHM", "gzip, zstd, xz, bzip2 or none (default: as the server is set)" },
	{ 0, "optimized-storage", NULL, "In the storage driver's own form, where it has one" },
	{ 'f', "force", NULL, "Overwrite FILE" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag import_backup_flags[] = {
	{ 's', "storage", "POOL", "Storage pool to put it into" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag import_flags[] = {
	{ 0, "alias", "ALIAS", "Name for the image (repeatable)" },
	{ 0, "reuse", NULL, "Move aliases that exist to this image" },
	{ 0, "public", NULL, "Anybody may fetch it" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag image_copy_flags[] = {
	{ 0, "alias", "ALIAS", "Name for the copy (repeatable)" },
	{ 0, "copy-aliases", NULL, "With the aliases of the source" },
	{ 0, "reuse", NULL, "Move aliases that exist to this image" },
	{ 0, "auto-update", NULL, "Keep the copy up to date" },
	{ 0, "public", NULL, "Anybody may fetch the copy" },
	{ 0, "mode", "TRANSFER-MODE", "pull, push or relay (default: what the servers' addresses allow)" },
	{ 0, "target-project", "PROJECT", "Into this project" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag build_flags[] = {
	{ 0, "rebuild", NULL, "Build also when the image is there" },
	{ 0, "alias", "ALIAS", "Further name for the image (repeatable)" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag push_flags[] = {
	{ 'r', "recursive", NULL, "Directories with all they hold" },
	{ 'p', "create-dirs", NULL, "Make missing directories above the target" },
	{ 0, "uid", "UID", "Owner of new files" },
	{ 0, "gid", "GID", "Group of new files" },
	{ 0, "mode", "OCTAL", "Permissions of new files" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag pull_flags[] = {
	{ 'r', "recursive", NULL, "Directories with all they hold" },
	{ 'p', "create-dirs", NULL, "Make missing directories above the target" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag delete_file_flags[] = {
	{ 'r', "recursive", NULL, "Directories with all they hold" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag mkdir_flags[] = {
	{ 'p', "create-dirs", NULL, "Make missing directories above, and mind none that is there" },
	{ 0, "uid", "UID", "Owner" },
	{ 0, "gid", "GID", "Group" },
	{ 0, "mode", "OCTAL", "Permissions" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag create_object_flags[] = {
	{ 0, "type", "NETWORK-TYPE", "bridge (default), macvlan or physical" },
	{ 0, "description", "TEXT", "Description" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag monitor_flags[] = {
	{ 0, "type", "EVENT", "Only events of this type: logging, operation, lifecycle (repeatable)" },
	{ 0, "pretty", NULL, "One line each" },
	{ 0, "loglevel", "LEVEL", "Log lines from this level up" },
	{ 'f', "format", "FORMAT", "yaml, json or pretty" },
	{ 0, "all-projects", NULL, "Events of all projects" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag query_flags[] = {
	{ 'X', "request", "METHOD", "Method (default GET, with --data POST)" },
	{ 'd', "data", "JSON", "Body" },
	{ 0, "wait", NULL, "Wait for the operation" },
	{ 0, "raw", NULL, "The whole reply as it comes" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag init_flags[] = {
	{ 0, "auto", NULL, "Ask nothing, take what fits" },
	{ 0, "preseed", NULL, "Take a YAML document from FILE or stdin" },
	{ 0, "dump", NULL, "Print the present state as a preseed" },
	{ 0, "storage-pool", "POOL", "Name of the pool (default)" },
	{ 0, "storage-backend", "DRIVER", "Its driver: overlay (default) or dir" },
	{ 0, "storage-create-device", "DEVICE", "Block device or directory to put it on" },
	{ 0, "network-address", "ADDRESS", "Listen for TLS there" },
	{ 0, "network-port", "PORT", "Port for that (8443)" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag waitready_flags[] = {
	{ 0, "timeout", "SECONDS", "Give up after that (default: never)" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag shutdown_flags[] = {
	{ 0, "timeout", "SECONDS", "Give up waiting after that (default: never)" },
	{ 'f', "force", NULL, "Without waiting for running operations" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag remote_add_flags[] = {
	{ 0, "accept-certificate", NULL, "Do not ask whether the server's certificate is the right one" },
	{ 0, "token", "TOKEN", "Join token from 'config trust add' (it also serves as ADDRESS)" },
	{ 0, "password", "PASSWORD", "Trust password of the server, or a token" },
	{ 0, "auth-type", "AUTH-TYPE", "How to be known there: tls" },
	{ 0, "protocol", "PROTOCOL", "lxd (also for lxm and Incus), or simplestreams for an image server" },
	{ 0, "public", NULL, "Only for its public images, without being known there" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag trust_add_flags[] = {
	{ 0, "name", "NAME", "Name of the client" },
	{ 0, "restricted", NULL, "Only for the projects given" },
	{ 0, "projects", "PROJECTS", "What it may see, separated by commas" },
	{ 0, "type", "CERT-TYPE", "client or metrics" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag warning_flags[] = {
	FORMAT_FLAG,
	{ 'a', "all", NULL, "Also acknowledged and resolved ones" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag operation_flags[] = {
	FORMAT_FLAG,
	{ 0, "all-projects", NULL, "Operations of all projects" },
	{ 0, NULL, NULL, NULL },
};

#define G_INST "Instances"
#define G_CONF "Configuration and devices"
#define G_IMG  "Images and templates"
#define G_NET  "Networks and storage"
#define G_SRV  "Server"
#define G_REM  "Remotes and trust"
#define G_CLI  "This command"

/* clang-format off */
const struct verb verbs[] = {
	/* name, group, args, flags, help, handler, data, stop_after, with --on */
	{ "launch", G_INST, "[IMAGE] [INSTANCE]", create_flags, "Create and start an instance from an image or a template", verb_launch, NULL, 0, ON_STDIN },
	{ "init", G_INST, "[IMAGE] [INSTANCE]", create_flags, "Create an instance without starting it", verb_init, NULL, 0, ON_STDIN },
	{ "create", NULL, "[IMAGE] [INSTANCE]", create_flags, "Create an instance without starting it", verb_init, NULL, 0, ON_STDIN },
	{ "list", G_INST, "[FILTER...]", list_flags, "List instances", verb_list, NULL, 0, ON },
	{ "ls", NULL, "[FILTER...]", list_flags, "List instances", verb_list, NULL, 0, ON },
	{ "info", G_INST, "[INSTANCE]", info_flags, "Show an instance's state, or the server", verb_info, NULL, 0, ON },
	{ "top", G_INST, "[REMOTE:]", top_flags, "Show what instances use, live", verb_top, NULL, 0, ON_SELF },
	{ "start", G_INST, "[INSTANCE...]", start_flags, "Start instances", verb_state, "start", 0, ON },
	{ "stop", G_INST, "[INSTANCE...]", stop_flags, "Stop instances", verb_state, "stop", 0, ON },
	{ "restart", G_INST, "[INSTANCE...]", stop_flags, "Restart instances", verb_state, "restart", 0, ON },
	{ "pause", G_INST, "[INSTANCE...]", all_flags, "Freeze all processes of instances", verb_state, "freeze", 0, ON },
	{ "resume", G_INST, "[INSTANCE...]", all_flags, "Let paused instances go on", verb_state, "unfreeze", 0, ON },
	{ "delete", G_INST, "INSTANCE...", delete_flags, "Delete instances or snapshots", verb_delete, NULL, 0, ON },
	{ "rm", NULL, "INSTANCE...", delete_flags, "Delete instances or snapshots", verb_delete, NULL, 0, ON },
	{ "exec", G_INST, "INSTANCE [COMMAND...]", exec_flags, "Run a command in an instance", verb_exec, NULL, 1, ON_LIVE },
	{ "shell", G_INST, "INSTANCE", shell_flags, "Open a login shell in an instance", verb_shell, NULL, 1, 0 },
	{ "console", G_INST, "INSTANCE", console_flags, "Attach to an instance's console (^a q leaves)", verb_console, NULL, 0, 0 },
	{ "rename", G_INST, "INSTANCE NAME", NULL, "Rename a stopped instance, or a snapshot (INSTANCE/OLD INSTANCE/NEW)", verb_entity_rename, &entity_instance, 0, ON },
	{ "copy", G_INST, "INSTANCE [NAME]", copy_flags, "Copy an instance or a snapshot, also to another server", verb_copy, NULL, 0, ON },
	{ "cp", NULL, "INSTANCE [NAME]", copy_flags, "Copy an instance or a snapshot, also to another server", verb_copy, NULL, 0, ON },
	{ "move", G_INST, "INSTANCE [NAME]", move_flags, "Rename an instance, or move it to another pool, project or server", verb_move, NULL, 0, ON },
	{ "mv", NULL, "INSTANCE [NAME]", move_flags, "Rename an instance, or move it to another pool, project or server", verb_move, NULL, 0, ON },
	{ "snapshot", G_INST, "INSTANCE [SNAPSHOT]", snapshot_flags, "Take a snapshot", verb_snapshot, NULL, 0, ON },
	{ "restore", G_INST, "INSTANCE SNAPSHOT", stateful_flags, "Bring an instance back to a snapshot", verb_restore, NULL, 0, ON },
	{ "rebuild", G_INST, "[IMAGE] INSTANCE", rebuild_flags, "Give a stopped instance a fresh root from an image", verb_rebuild, NULL, 0, ON },
	{ "export", G_INST, "INSTANCE [FILE]", export_flags, "Write an instance with its snapshots to a file or stdout (-)", verb_export, NULL, 0, 0 },
	{ "import", G_INST, "[REMOTE:] FILE [NAME]", import_backup_flags, "Make an instance of an exported file or stdin (-)", verb_import, NULL, 0, 0 },
	{ "publish", G_INST, "INSTANCE [PROPERTY=VALUE...]", publish_flags, "Make an image of an instance or a snapshot", verb_publish, NULL, 0, ON },
	{ "file push", G_INST, "FILE... INSTANCE/PATH", push_flags, "Send files into an instance (- is stdin)", verb_file_push, NULL, 0, ON_STDIN },
	{ "file pull", G_INST, "INSTANCE/PATH... FILE", pull_flags, "Fetch files from an instance (- is stdout)", verb_file_pull, NULL, 0, 0 },
	{ "file delete", G_INST, "INSTANCE/PATH...", delete_file_flags, "Delete files in an instance", verb_file_delete, NULL, 0, ON },
	{ "file mkdir", G_INST, "INSTANCE/PATH...", mkdir_flags, "Make directories in an instance", verb_file_mkdir, NULL, 0, ON },
	{ "file mount", G_INST, "INSTANCE[/PATH] [DIRECTORY]", FLAGS({ 0, "listen", "ADDRESS", "Refused: lxmc is no SSH server" }), "Mount files of an instance here with sshfs, until interrupted", verb_file_mount, NULL, 0, 0 },
	{ "file edit", G_INST, "INSTANCE/PATH", NULL, "Edit a file of an instance", verb_file_edit, NULL, 0, 0 },
	{ "config get", G_CONF, "[INSTANCE] KEY", get_flags, "Show a key of an instance, or of the server (REMOTE: for another)", verb_config_get, NULL, 0, ON },
	{ "config set", G_CONF, "[INSTANCE] KEY=VALUE...", F_PROPERTY, "Set keys of an instance, or of the server (REMOTE: for another)", verb_config_set, NULL, 0, ON },
	{ "config unset", G_CONF, "[INSTANCE] KEY", F_PROPERTY, "Take a key of an instance away, or of the server (REMOTE: for another)", verb_config_unset, NULL, 0, ON },
	{ "config show", G_CONF, "[INSTANCE]", expanded_flags, "Show the configuration of an instance, or of the server (REMOTE: for another)", verb_config_show, NULL, 0, ON },
	{ "config edit", G_CONF, "[INSTANCE]", NULL, "Edit the configuration of an instance as YAML, or of the server (REMOTE: for another)", verb_config_edit, NULL, 0, 0 },
	{ "config keys", G_CONF, "[PATTERN...]", F_FORMAT, "List the keys that there are, of all objects or as far as they fit (limits.*, memory, project)", verb_config_keys, NULL, 0, 0 },
	{ "config metadata show", G_CONF, "INSTANCE", F_OBJECT, "Show an instance's image metadata", verb_entity_show, &entity_metadata, 0, ON },
	{ "config metadata edit", G_CONF, "INSTANCE", NULL, "Edit an instance's image metadata as YAML", verb_entity_edit, &entity_metadata, 0, 0 },
	{ "config template list", G_CONF, "INSTANCE", F_FORMAT, "List the file templates of an instance", verb_config_template_list, NULL, 0, ON },
	{ "config template show", G_CONF, "INSTANCE TEMPLATE", NULL, "Show a file template", verb_config_template_show, NULL, 0, ON },
	{ "config template create", G_CONF, "INSTANCE TEMPLATE", NULL, "Create a file template (from stdin or in an editor)", verb_config_template_edit, NULL, 0, 0 },
	{ "config template edit", G_CONF, "INSTANCE TEMPLATE", NULL, "Edit a file template", verb_config_template_edit, "", 0, 0 },
	{ "config template delete", G_CONF, "INSTANCE TEMPLATE", NULL, "Delete a file template", verb_config_template_delete, NULL, 0, ON },
	{ "config device add", G_CONF, "INSTANCE DEVICE DEVICE-TYPE [KEY=VALUE...]", NULL, "Add a device to an instance", verb_device_add, &entity_instance, 0, ON },
	{ "config device remove", G_CONF, "INSTANCE DEVICE...", NULL, "Take devices from an instance", verb_device_remove, &entity_instance, 0, ON },
	{ "config device set", G_CONF, "INSTANCE DEVICE KEY=VALUE...", NULL, "Set keys of a device", verb_device_set, &entity_instance, 0, ON },
	{ "config device get", G_CONF, "INSTANCE DEVICE KEY", NULL, "Show a key of a device", verb_device_get, &entity_instance, 0, ON },
	{ "config device unset", G_CONF, "INSTANCE DEVICE KEY", NULL, "Take a key of a device away", verb_device_unset, &entity_instance, 0, ON },
	{ "config device list", G_CONF, "INSTANCE", NULL, "List the devices of an instance", verb_device_list, &entity_instance, 0, ON },
	{ "config device show", G_CONF, "INSTANCE", expanded_flags, "Show the devices of an instance", verb_device_show, &entity_instance, 0, ON },
	{ "config device override", G_CONF, "INSTANCE DEVICE [KEY=VALUE...]", NULL, "Copy a profile's device into the instance", verb_device_override, &entity_instance, 0, ON },
	{ "profile list", G_CONF, "[REMOTE:]", F_FORMAT, "List profiles", verb_entity_list, &entity_profile, 0, ON },
	{ "profile show", G_CONF, "PROFILE", F_OBJECT, "Show a profile", verb_entity_show, &entity_profile, 0, ON },
	{ "profile create", G_CONF, "PROFILE [KEY=VALUE...]", F_DESCRIPTION, "Create a profile (YAML on stdin is taken)", verb_entity_create, &entity_profile, 0, ON_STDIN },
	{ "profile delete", G_CONF, "PROFILE...", NULL, "Delete profiles", verb_entity_delete, &entity_profile, 0, ON },
	{ "profile rename", G_CONF, "PROFILE NAME", NULL, "Rename a profile", verb_entity_rename, &entity_profile, 0, ON },
	{ "profile copy", G_CONF, "PROFILE NAME", NULL, "Copy a profile", verb_profile_copy, NULL, 0, ON },
	{ "profile load", G_CONF, "[[REMOTE:]PROFILE...]", NULL, "Create profiles that come with lxm; without a name, list those", verb_profile_load, NULL, 0, ON },
	{ "profile add", G_CONF, "INSTANCE PROFILE", NULL, "Add a profile to an instance", verb_profile_add, NULL, 0, ON },
	{ "profile remove", G_CONF, "INSTANCE PROFILE", NULL, "Take a profile from an instance", verb_profile_remove, NULL, 0, ON },
	{ "profile assign", G_CONF, "INSTANCE PROFILE...", NULL, "Replace the profiles of an instance", verb_profile_assign, NULL, 0, ON },
	{ "profile get", G_CONF, "PROFILE KEY", F_PROPERTY, "Show a key of a profile", verb_entity_get, &entity_profile, 0, ON },
	{ "profile set", G_CONF, "PROFILE KEY=VALUE...", F_PROPERTY, "Set keys of a profile", verb_entity_set, &entity_profile, 0, ON },
	{ "profile unset", G_CONF, "PROFILE KEY", F_PROPERTY, "Take a key of a profile away", verb_entity_unset, &entity_profile, 0, ON },
	{ "profile edit", G_CONF, "PROFILE", NULL, "Edit a profile as YAML", verb_entity_edit, &entity_profile, 0, 0 },
	{ "profile device add", G_CONF, "PROFILE DEVICE DEVICE-TYPE [KEY=VALUE...]", NULL, "Add a device to a profile", verb_device_add, &entity_profile, 0, ON },
	{ "profile device remove", G_CONF, "PROFILE DEVICE...", NULL, "Take devices from a profile", verb_device_remove, &entity_profile, 0, ON },
	{ "profile device set", G_CONF, "PROFILE DEVICE KEY=VALUE...", NULL, "Set keys of a device", verb_device_set, &entity_profile, 0, ON },
	{ "profile device get", G_CONF, "PROFILE DEVICE KEY", NULL, "Show a key of a device", verb_device_get, &entity_profile, 0, ON },
	{ "profile device unset", G_CONF, "PROFILE DEVICE KEY", NULL, "Take a key of a device away", verb_device_unset, &entity_profile, 0, ON },
	{ "profile device list", G_CONF, "PROFILE", NULL, "List the devices of a profile", verb_device_list, &entity_profile, 0, ON },
	{ "profile device show", G_CONF, "PROFILE", F_OBJECT, "Show the devices of a profile", verb_device_show, &entity_profile, 0, ON },
	{ "image list", G_IMG, "[FILTER...]", F_FORMAT, "List images", verb_image_list, NULL, 0, ON },
	{ "image ls", NULL, "[FILTER...]", F_FORMAT, "List images", verb_image_list, NULL, 0, ON },
	{ "image info", G_IMG, "IMAGE", NULL, "Describe an image", verb_image_info, NULL, 0, ON },
	{ "image show", G_IMG, "IMAGE", F_OBJECT, "Show what can be changed of an image", verb_image_show, NULL, 0, ON },
	{ "image edit", G_IMG, "IMAGE", NULL, "Edit an image's properties as YAML", verb_image_edit, NULL, 0, 0 },
	{ "image import", G_IMG, "FILE [ROOTFS] [REMOTE:] [PROPERTY=VALUE...]", import_flags, "Import an image: one file, metadata and root, or a directory", verb_image_import, NULL, 0, ON_STDIN },
	{ "image export", G_IMG, "IMAGE [FILE]", F_FORCE, "Write an image to a file, a directory or stdout (-)", verb_image_export, NULL, 0, 0 },
	{ "image build", G_IMG, "TEMPLATE", build_flags, "Build an image from a template", verb_image_build, NULL, 0, ON },
	{ "image copy", G_IMG, "IMAGE REMOTE:", image_copy_flags, "Copy an image to another server", verb_image_copy, NULL, 0, ON },
	{ "image cp", NULL, "IMAGE REMOTE:", image_copy_flags, "Copy an image to another server", verb_image_copy, NULL, 0, ON },
	{ "image delete", G_IMG, "IMAGE...", NULL, "Delete images", verb_image_delete, NULL, 0, ON },
	{ "image alias list", G_IMG, "[FILTER]", F_FORMAT, "List aliases", verb_image_alias_list, NULL, 0, ON },
	{ "image alias create", G_IMG, "ALIAS IMAGE", F_DESCRIPTION, "Give an image a name", verb_image_alias_create, NULL, 0, ON },
	{ "image alias delete", G_IMG, "ALIAS...", NULL, "Delete aliases", verb_entity_delete, &entity_alias, 0, ON },
	{ "image alias rename", G_IMG, "ALIAS NAME", NULL, "Rename an alias", verb_entity_rename, &entity_alias, 0, ON },
	{ "template list", G_IMG, "[REMOTE:]", F_FORMAT, "List what images can be built from", verb_template_list, NULL, 0, ON },
	{ "template show", G_IMG, "TEMPLATE", F_OBJECT, "Show a template", verb_template_show, NULL, 0, ON },
	{ "network list", G_NET, "[REMOTE:]", F_FORMAT, "List networks", verb_entity_list, &entity_network, 0, ON },
	{ "network show", G_NET, "NETWORK", F_OBJECT, "Show a network", verb_entity_show, &entity_network, 0, ON },
	{ "network info", G_NET, "NETWORK", F_OBJECT, "Show a network's state", verb_network_info, NULL, 0, ON },
	{ "network create", G_NET, "NETWORK [KEY=VALUE...]", create_object_flags, "Create a network", verb_entity_create, &entity_network, 0, ON_STDIN },
	{ "network delete", G_NET, "NETWORK...", NULL, "Delete networks", verb_entity_delete, &entity_network, 0, ON },
	{ "network get", G_NET, "NETWORK KEY", F_PROPERTY, "Show a key of a network", verb_entity_get, &entity_network, 0, ON },
	{ "network set", G_NET, "NETWORK KEY=VALUE...", F_PROPERTY, "Set keys of a network", verb_entity_set, &entity_network, 0, ON },
	{ "network unset", G_NET, "NETWORK KEY", F_PROPERTY, "Take a key of a network away", verb_entity_unset, &entity_network, 0, ON },
	{ "network edit", G_NET, "NETWORK", NULL, "Edit a network as YAML", verb_entity_edit, &entity_network, 0, 0 },
	{ "network rename", G_NET, "NETWORK NAME", NULL, "Rename a network", verb_entity_rename, &entity_network, 0, ON },
	{ "network list-leases", G_NET, "NETWORK", F_FORMAT, "List DHCP leases", verb_network_leases, NULL, 0, ON },
	{ "network attach", G_NET, "NETWORK INSTANCE [DEVICE] [INTERFACE]", NULL, "Give an instance a NIC on a network", verb_network_attach, &entity_instance, 0, ON },
	{ "network detach", G_NET, "NETWORK INSTANCE [DEVICE]", NULL, "Take an instance's NIC away", verb_network_detach, &entity_instance, 0, ON },
	{ "network attach-profile", G_NET, "NETWORK PROFILE [DEVICE] [INTERFACE]", NULL, "Give a profile a NIC on a network", verb_network_attach, &entity_profile, 0, ON },
	{ "network detach-profile", G_NET, "NETWORK PROFILE [DEVICE]", NULL, "Take a profile's NIC away", verb_network_detach, &entity_profile, 0, ON },
	{ "storage list", G_NET, "[REMOTE:]", F_FORMAT, "List storage pools", verb_entity_list, &entity_storage, 0, ON },
	{ "storage show", G_NET, "POOL", F_OBJECT, "Show a storage pool", verb_entity_show, &entity_storage, 0, ON },
	{ "storage info", G_NET, "POOL", NULL, "Show a storage pool's state", verb_storage_info, NULL, 0, ON },
	{ "storage create", G_NET, "POOL DRIVER [KEY=VALUE...]", F_DESCRIPTION, "Create a storage pool", verb_storage_create, NULL, 0, ON_STDIN },
	{ "storage delete", G_NET, "POOL...", NULL, "Delete storage pools", verb_entity_delete, &entity_storage, 0, ON },
	{ "storage get", G_NET, "POOL KEY", F_PROPERTY, "Show a key of a storage pool", verb_entity_get, &entity_storage, 0, ON },
	{ "storage set", G_NET, "POOL KEY=VALUE...", F_PROPERTY, "Set keys of a storage pool", verb_entity_set, &entity_storage, 0, ON },
	{ "storage unset", G_NET, "POOL KEY", F_PROPERTY, "Take a key of a storage pool away", verb_entity_unset, &entity_storage, 0, ON },
	{ "storage edit", G_NET, "POOL", NULL, "Edit a storage pool as YAML", verb_entity_edit, &entity_storage, 0, 0 },
	{ "storage volume list", G_NET, "POOL", F_FORMAT, "List volumes", verb_volume_list, NULL, 0, ON },
	{ "storage volume show", G_NET, "POOL VOLUME", F_OBJECT, "Show a volume", verb_volume_show, NULL, 0, ON },
	{ "storage volume info", G_NET, "POOL VOLUME", F_FORMAT, "Show a custom volume's space and snapshots", verb_volume_info, NULL, 0, ON },
	{ "storage volume create", G_NET, "POOL VOLUME [KEY=VALUE...]", volume_create_flags, "Create a custom volume", verb_volume_create, NULL, 0, ON },
	{ "storage volume delete", G_NET, "POOL VOLUME", NULL, "Delete a custom volume or a snapshot (VOLUME/SNAPSHOT)", verb_volume_delete, NULL, 0, ON },
	{ "storage volume rename", G_NET, "POOL VOLUME NAME", NULL, "Rename a custom volume or a snapshot (VOLUME/SNAPSHOT)", verb_volume_rename, NULL, 0, ON },
	{ "storage volume get", G_NET, "POOL VOLUME KEY", F_PROPERTY, "Show a key of a custom volume", verb_entity_get, &entity_volume, 0, ON },
	{ "storage volume set", G_NET, "POOL VOLUME KEY=VALUE...", F_PROPERTY, "Set keys of a custom volume", verb_entity_set, &entity_volume, 0, ON },
	{ "storage volume unset", G_NET, "POOL VOLUME KEY", F_PROPERTY, "Take a key of a custom volume away", verb_entity_unset, &entity_volume, 0, ON },
	{ "storage volume edit", G_NET, "POOL VOLUME", NULL, "Edit a custom volume as YAML", verb_entity_edit, &entity_volume, 0, 0 },
	{ "storage volume copy", G_NET, "POOL/VOLUME POOL/VOLUME", volume_copy_flags, "Copy a custom volume, or a snapshot of one (POOL/VOLUME/SNAPSHOT)", verb_volume_copy, NULL, 0, ON },
	{ "storage volume move", G_NET, "POOL/VOLUME POOL/VOLUME", volume_move_flags, "Move a custom volume to another pool, project or name", verb_volume_move, NULL, 0, ON },
	{ "storage volume snapshot", G_NET, "POOL VOLUME [SNAPSHOT]", volume_snapshot_flags, "Take a snapshot of a custom volume", verb_volume_snapshot, NULL, 0, ON },
	{ "storage volume restore", G_NET, "POOL VOLUME SNAPSHOT", NULL, "Bring a custom volume back to a snapshot", verb_volume_restore, NULL, 0, ON },
	{ "storage volume attach", G_NET, "POOL VOLUME INSTANCE [DEVICE] PATH", NULL, "Give an instance a custom volume", verb_volume_attach, &entity_instance, 0, ON },
	{ "storage volume attach-profile", G_NET, "POOL VOLUME PROFILE [DEVICE] PATH", NULL, "Give a profile a custom volume", verb_volume_attach, &entity_profile, 0, ON },
	{ "storage volume detach", G_NET, "POOL VOLUME INSTANCE [DEVICE]", NULL, "Take a custom volume from an instance", verb_volume_detach, &entity_instance, 0, ON },
	{ "storage volume detach-profile", G_NET, "POOL VOLUME PROFILE [DEVICE]", NULL, "Take a custom volume from a profile", verb_volume_detach, &entity_profile, 0, ON },
	{ "operation list", G_SRV, "[REMOTE:]", operation_flags, "List operations", verb_operation_list, NULL, 0, ON },
	{ "operation show", G_SRV, "OPERATION", F_OBJECT, "Show an operation", verb_entity_show, &entity_operation, 0, ON },
	{ "operation delete", G_SRV, "OPERATION", NULL, "Cancel an operation", verb_operation_delete, NULL, 0, ON },
	{ "warning list", G_SRV, "[REMOTE:]", warning_flags, "List warnings", verb_warning_list, NULL, 0, ON },
	{ "warning show", G_SRV, "WARNING", F_OBJECT, "Show a warning", verb_entity_show, &entity_warning, 0, ON },
	{ "warning ack", G_SRV, "WARNING", NULL, "Acknowledge a warning", verb_warning_ack, NULL, 0, ON },
	{ "warning delete", G_SRV, "[WARNING]", FLAGS({ 'a', "all", NULL, "All of them" }), "Delete a warning", verb_warning_delete, NULL, 0, ON },
	{ "project list", G_SRV, "[REMOTE:]", F_FORMAT, "List projects", verb_entity_list, &entity_project, 0, ON },
	{ "project switch", G_SRV, "PROJECT", NULL, "Use a project from now on", verb_project_switch, NULL, 0, 0 },
	{ "project show", G_SRV, "PROJECT", F_OBJECT, "Show a project", verb_entity_show, &entity_project, 0, ON },
	{ "project info", G_SRV, "PROJECT", F_FORMAT, "Show what a project uses, and its limits", verb_project_info, NULL, 0, ON },
	{ "project create", G_SRV, "PROJECT [KEY=VALUE...]", F_DESCRIPTION, "Create a project", verb_entity_create, &entity_project, 0, ON_STDIN },
	{ "project delete", G_SRV, "PROJECT...", NULL, "Delete projects", verb_entity_delete, &entity_project, 0, ON },
	{ "project get", G_SRV, "PROJECT KEY", F_PROPERTY, "Show a key of a project", verb_entity_get, &entity_project, 0, ON },
	{ "project set", G_SRV, "PROJECT KEY=VALUE...", F_PROPERTY, "Set keys of a project", verb_entity_set, &entity_project, 0, ON },
	{ "project unset", G_SRV, "PROJECT KEY", F_PROPERTY, "Take a key of a project away", verb_entity_unset, &entity_project, 0, ON },
	{ "project edit", G_SRV, "PROJECT", NULL, "Edit a project as YAML", verb_entity_edit, &entity_project, 0, 0 },
	{ "monitor", G_SRV, "[REMOTE:]", monitor_flags, "Show events as they happen", verb_monitor, NULL, 0, 0 },
	{ "query", G_SRV, "PATH", query_flags, "Send a request to the API", verb_query, NULL, 0, ON },
	{ "admin init", G_SRV, "[FILE]", init_flags, "Set the server up: storage, network, default profile", verb_admin_init, NULL, 0, 0 },
	{ "admin waitready", G_SRV, "", waitready_flags, "Wait until the server is up", verb_admin_waitready, NULL, 0, 0 },
	{ "admin shutdown", G_SRV, "", shutdown_flags, "Stop the server; instances go on", verb_admin_shutdown, NULL, 0, 0 },
	{ "admin sql", G_SRV, "DATABASE QUERY", F_FORMAT, "Query the database node or cluster (QUERY: SQL, .dump or .schema)", verb_admin_sql, NULL, 0, 0 },
	{ "remote list", G_REM, "", F_FORMAT, "List the servers that this command knows", verb_remote_list, NULL, 0, 0 },
	{ "remote ls", NULL, "", F_FORMAT, "List the servers that this command knows", verb_remote_list, NULL, 0, 0 },
	{ "remote add", G_REM, "[NAME] ADDRESS", remote_add_flags, "Get to know a server, by a join token or by its address", verb_remote_add, NULL, 0, 0 },
	{ "remote remove", G_REM, "REMOTE...", NULL, "Forget servers", verb_remote_remove, NULL, 0, 0 },
	{ "remote rm", NULL, "REMOTE...", NULL, "Forget servers", verb_remote_remove, NULL, 0, 0 },
	{ "remote rename", G_REM, "REMOTE NAME", NULL, "Call a server something else", verb_remote_rename, NULL, 0, 0 },
	{ "remote mv", NULL, "REMOTE NAME", NULL, "Call a server something else", verb_remote_rename, NULL, 0, 0 },
	{ "remote switch", G_REM, "REMOTE", NULL, "Choose the server that names without one mean", verb_remote_switch, NULL, 0, 0 },
	{ "remote set-default", NULL, "REMOTE", NULL, "Choose the server that names without one mean", verb_remote_switch, NULL, 0, 0 },
	{ "remote get-default", G_REM, "", NULL, "Show the server that names without one mean", verb_remote_get_default, NULL, 0, 0 },
	{ "remote set-url", G_REM, "REMOTE ADDRESS", NULL, "Change a server's address", verb_remote_set_url, NULL, 0, 0 },
	{ "remote get-client-certificate", G_REM, "", NULL, "Print the certificate that servers know this command by", verb_remote_get_certificate, NULL, 0, 0 },
	{ "remote generate-certificate", G_REM, "", NULL, "Make that certificate now (else when it is needed first)", verb_remote_generate_certificate, NULL, 0, 0 },
	{ "config trust add", G_REM, "[REMOTE:] [NAME|FILE]", trust_add_flags, "Let a client in: make a join token for NAME, or add a certificate from a file", verb_trust_add, NULL, 0, ON },
	{ "config trust list", G_REM, "[REMOTE:]", F_FORMAT, "List the clients that a server trusts", verb_trust_list, NULL, 0, ON },
	{ "config trust ls", NULL, "[REMOTE:]", F_FORMAT, "List the clients that a server trusts", verb_trust_list, NULL, 0, ON },
	{ "config trust remove", G_REM, "[REMOTE:] FINGERPRINT", NULL, "Trust a client no longer", verb_trust_remove, NULL, 0, ON },
	{ "config trust rm", NULL, "[REMOTE:] FINGERPRINT", NULL, "Trust a client no longer", verb_trust_remove, NULL, 0, ON },
	{ "config trust show", G_REM, "FINGERPRINT", F_OBJECT, "Show a trusted client", verb_entity_show, &entity_certificate, 0, ON },
	{ "config trust edit", G_REM, "FINGERPRINT", NULL, "Edit a trusted client as YAML", verb_entity_edit, &entity_certificate, 0, 0 },
	{ "config trust list-tokens", G_REM, "[REMOTE:]", F_FORMAT, "List join tokens that nobody has used yet", verb_trust_list_tokens, NULL, 0, ON },
	{ "config trust revoke-token", G_REM, "[REMOTE:] NAME", NULL, "Make a join token worthless", verb_trust_revoke_token, NULL, 0, ON },
	{ "remote group add", G_REM, "GROUP REMOTE...", NULL, "Put servers into a group, for --on", verb_group_add, NULL, 0, 0 },
	{ "remote group remove", G_REM, "GROUP [REMOTE...]", NULL, "Take servers out of a group, or the whole group away", verb_group_remove, NULL, 0, 0 },
	{ "remote group list", G_REM, "", F_FORMAT, "List the groups of servers", verb_group_list, NULL, 0, 0 },
	{ "remote group show", G_REM, "GROUP", F_OBJECT, "Show which servers are in a group", verb_group_show, NULL, 0, 0 },
	{ "version", G_CLI, "", NULL, "Show the versions of this command and of the server", verb_version, NULL, 0, ON },
	{ "completion", G_CLI, "SHELL", NULL, "Print the completion script for a shell: bash, zsh or fish", verb_completion, NULL, 0, 0 },
	{ "help", G_CLI, "[VERB...]", NULL, "Explain a verb", verb_help, NULL, 0, 0 },
	{ "__complete", NULL, "[WORD...]", NULL, "Print completions", verb_complete, NULL, 0, 0 },
	{ NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0 },
};
/* clang-format on */
