/* THE verb table: help, usage, completion and dispatch all come from it. Adding a verb is a row and a handler. */
#include "lxmc/entity.h"
#include "lxmc/out.h"
#include "lxmc/verb.h"

/* Options of one verb, or shared by a few. */
#define FLAGS(...) ((const struct flag[]){ __VA_ARGS__, { 0, NULL, NULL, NULL } })

#define F_FORMAT   FLAGS(FORMAT_FLAG)
#define F_PROPERTY FLAGS({ 'p', "property", NULL, "The key is a property of the object, not of its configuration" })
#define F_OBJECT   FLAGS({ 'f', "format", "FORMAT", "yaml or json" })

static const struct flag create_flags[] = {
	{ 'c', "config", "KEY=VALUE", "Configuration key (repeatable)" },
	{ 'd', "device", "DEVICE,KEY=VALUE", "Device to add, or what to change on a profile's (repeatable)" },
	{ 'p', "profile", "PROFILE", "Profile to apply instead of default (repeatable)" },
	{ 0, "no-profiles", NULL, "Apply no profile at all" },
	{ 's', "storage", "POOL", "Storage pool for the root disk" },
	{ 'n', "network", "NETWORK", "Network for eth0" },
	{ 't', "type", "TYPE", "Size of the instance (c2-m4)" },
	{ 'e', "ephemeral", NULL, "Delete the instance when it stops" },
	{ 0, "config-file", "FILE", "YAML to start from (as on stdin)" },
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

static const struct flag start_flags[] = {
	{ 0, "all", NULL, "All instances of the project" },
	{ 0, "console", NULL, "Attach to the console afterwards" },
	{ 0, "stateful", NULL, "Restore the saved state" },
	{ 0, NULL, NULL, NULL },
};

static const struct flag stop_flags[] = {
	{ 'f', "force", NULL, "Kill instead of asking" },
	{ 0, "timeout", "SECONDS", "How long to wait for a clean stop (default: for ever)" },
	{ 0, "all", NULL, "All instances of the project" },
	{ 0, "stateful", NULL, "Save the state" },
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
	{ 0, NULL, NULL, NULL },
};

#define G_INST "Instances"
#define G_CONF "Configuration and devices"
#define G_IMG  "Images and templates"
#define G_NET  "Networks and storage"
#define G_SRV  "Server"
#define G_CLI  "This command"

const struct verb verbs[] = {
	/* name, group, args, flags, help, handler, data, stop_after */
	{ "launch", G_INST, "[IMAGE] [INSTANCE]", create_flags, "Create and start an instance from an image or a template", verb_launch, NULL, 0 },
	{ "init", G_INST, "[IMAGE] [INSTANCE]", create_flags, "Create an instance without starting it", verb_init, NULL, 0 },
	{ "create", NULL, "[IMAGE] [INSTANCE]", create_flags, "Create an instance without starting it", verb_init, NULL, 0 },
	{ "list", G_INST, "[FILTER...]", list_flags, "List instances", verb_list, NULL, 0 },
	{ "ls", NULL, "[FILTER...]", list_flags, "List instances", verb_list, NULL, 0 },
	{ "start", G_INST, "[INSTANCE...]", start_flags, "Start instances", verb_state, "start", 0 },
	{ "stop", G_INST, "[INSTANCE...]", stop_flags, "Stop instances", verb_state, "stop", 0 },
	{ "restart", G_INST, "[INSTANCE...]", stop_flags, "Restart instances", verb_state, "restart", 0 },
	{ "pause", G_INST, "[INSTANCE...]", all_flags, "Freeze all processes of instances", verb_state, "freeze", 0 },
	{ "resume", G_INST, "[INSTANCE...]", all_flags, "Let paused instances go on", verb_state, "unfreeze", 0 },
	{ "delete", G_INST, "INSTANCE...", delete_flags, "Delete instances or snapshots", verb_delete, NULL, 0 },
	{ "rm", NULL, "INSTANCE...", delete_flags, "Delete instances or snapshots", verb_delete, NULL, 0 },
	{ "exec", G_INST, "INSTANCE COMMAND...", exec_flags, "Run a command in an instance", verb_exec, NULL, 1 },
	{ "shell", G_INST, "INSTANCE", FLAGS({ 'u', "login", "USER", "Whose login shell (default root)" }), "Open a login shell in an instance", verb_shell, NULL, 1 },
	{ "console", G_INST, "INSTANCE", FLAGS({ 0, "show-log", NULL, "Print what the console said so far" }), "Attach to an instance's console (^a q leaves)", verb_console, NULL, 0 },
	{ "rename", G_INST, "INSTANCE NAME", NULL, "Rename a stopped instance", verb_entity_rename, &entity_instance, 0 },

	{ "profile list", G_CONF, "[REMOTE:]", F_FORMAT, "List profiles", verb_entity_list, &entity_profile, 0 },
	{ "profile show", G_CONF, "PROFILE", F_OBJECT, "Show a profile", verb_entity_show, &entity_profile, 0 },
	{ "template list", G_IMG, "[REMOTE:]", F_FORMAT, "List what images can be built from", verb_template_list, NULL, 0 },
	{ "template show", G_IMG, "TEMPLATE", F_OBJECT, "Show a template", verb_template_show, NULL, 0 },
	{ "version", G_CLI, "", NULL, "Show the versions of this command and of the server", verb_version, NULL, 0 },
	{ "help", G_CLI, "[VERB...]", NULL, "Explain a verb", verb_help, NULL, 0 },
	{ NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0 },
};
