/*
 * THE route table. Who may call is the third column; read it from top to bottom to know the rights of the
 * whole API. Rows are ordered by path; a unit test checks that and that no row is there twice.
 */
#include "lxmd/http/routes.h"

#include "lib/base/auto.h"
#include "lxmd/api/api.h"

/* clang-format off */
static const struct route routes[] = {
	/* method   path                                      who          flags       handler                        what */
	{ "GET",    "/",                                      MAY_ALL,     RT_INLINE,  api_root_get,                  "List the API versions" },
	{ "GET",    "/1.0",                                   MAY_ALL,     0,          api_server_get,                "Show server, environment and configuration" },
	{ "PUT",    "/1.0",                                   MAY_ADMIN,   0,          api_server_put,                "Replace the server configuration" },
	{ "PATCH",  "/1.0",                                   MAY_ADMIN,   0,          api_server_patch,              "Change some server configuration keys" },
	{ "GET",    "/1.0/certificates",                      MAY_ADMIN,   0,          api_certificates_get,          "List trusted certificates" },
	{ "POST",   "/1.0/certificates",                      MAY_ADMIN,   0,          api_certificates_post,         "Trust a certificate" },
	{ "GET",    "/1.0/certificates/{fingerprint}",        MAY_ADMIN,   0,          api_certificate_get,           "Show a certificate" },
	{ "PUT",    "/1.0/certificates/{fingerprint}",        MAY_ADMIN,   0,          api_certificate_put,           "Replace what is known of a certificate" },
	{ "PATCH",  "/1.0/certificates/{fingerprint}",        MAY_ADMIN,   0,          api_certificate_patch,         "Change what is known of a certificate" },
	{ "DELETE", "/1.0/certificates/{fingerprint}",        MAY_ADMIN,   0,          api_certificate_delete,        "Trust a certificate no longer" },
	{ "GET",    "/1.0/events",                            MAY_PROJECT, RT_PROJECT | RT_ALLPROJECTS, api_events_get, "Websocket of events" },
	{ "GET",    "/1.0/metadata/configuration",            MAY_TRUSTED, 0,          api_metadata_configuration_get, "Show all configuration keys" },
	{ "GET",    "/1.0/networks",                          MAY_PROJECT, RT_PROJECT, api_networks_get,              "List networks and host links" },
	{ "POST",   "/1.0/networks",                          MAY_ADMIN,   RT_PROJECT, api_networks_post,             "Create a network" },
	{ "GET",    "/1.0/networks/{name}",                   MAY_PROJECT, RT_PROJECT, api_network_get,               "Show a network" },
	{ "PUT",    "/1.0/networks/{name}",                   MAY_ADMIN,   RT_PROJECT, api_network_put,               "Replace a network's configuration" },
	{ "PATCH",  "/1.0/networks/{name}",                   MAY_ADMIN,   RT_PROJECT, api_network_patch,             "Change some keys of a network" },
	{ "POST",   "/1.0/networks/{name}",                   MAY_ADMIN,   RT_PROJECT, api_network_post,              "Rename a network" },
	{ "DELETE", "/1.0/networks/{name}",                   MAY_ADMIN,   RT_PROJECT, api_network_delete,            "Delete a network" },
	{ "GET",    "/1.0/networks/{name}/leases",            MAY_PROJECT, RT_PROJECT, api_network_leases_get,        "List the leases of a network" },
	{ "GET",    "/1.0/networks/{name}/state",             MAY_PROJECT, RT_PROJECT, api_network_state_get,         "Show addresses and counters of a network" },
	{ "GET",    "/1.0/instances",                         MAY_PROJECT, RT_PROJECT | RT_ALLPROJECTS, api_instances_get, "List instances" },
	{ "POST",   "/1.0/instances",                         MAY_PROJECT, RT_PROJECT | RT_EITHER | RT_ASYNC, api_instances_post, "Create an instance" },
	{ "PUT",    "/1.0/instances",                         MAY_PROJECT, RT_PROJECT | RT_ASYNC, api_instances_put,    "Change the state of all instances" },
	{ "GET",    "/1.0/instances/{name}",                  MAY_PROJECT, RT_PROJECT, api_instance_get,               "Show an instance" },
	{ "POST",   "/1.0/instances/{name}",                  MAY_PROJECT, RT_PROJECT | RT_ASYNC, api_instance_post,    "Rename an instance" },
	{ "PUT",    "/1.0/instances/{name}",                  MAY_PROJECT, RT_PROJECT | RT_ASYNC, api_instance_put,     "Replace an instance's configuration" },
	{ "PATCH",  "/1.0/instances/{name}",                  MAY_PROJECT, RT_PROJECT, api_instance_patch,             "Change some of an instance's configuration" },
	{ "DELETE", "/1.0/instances/{name}",                  MAY_PROJECT, RT_PROJECT | RT_ASYNC, api_instance_delete,  "Delete an instance" },
	{ "GET",    "/1.0/instances/{name}/console",          MAY_PROJECT, RT_PROJECT, api_instance_console_get,       "Show what the console said" },
	{ "POST",   "/1.0/instances/{name}/console",          MAY_PROJECT, RT_PROJECT | RT_ASYNC, api_instance_console_post, "Attach to the console" },
	{ "DELETE", "/1.0/instances/{name}/console",          MAY_PROJECT, RT_PROJECT, api_instance_console_delete,    "Forget what the console said" },
	{ "POST",   "/1.0/instances/{name}/exec",             MAY_PROJECT, RT_PROJECT | RT_ASYNC, api_instance_exec_post, "Run a program inside" },
	{ "GET",    "/1.0/instances/{name}/logs",             MAY_PROJECT, RT_PROJECT, api_instance_logs_get,          "List an instance's logs" },
	{ "GET",    "/1.0/instances/{name}/logs/{file}",      MAY_PROJECT, RT_PROJECT, api_instance_log_get,           "Read a log" },
	{ "DELETE", "/1.0/instances/{name}/logs/{file}",      MAY_PROJECT, RT_PROJECT, api_instance_log_delete,        "Delete a log" },
	{ "GET",    "/1.0/instances/{name}/state",            MAY_PROJECT, RT_PROJECT, api_instance_state_get,         "Show an instance's state" },
	{ "PUT",    "/1.0/instances/{name}/state",            MAY_PROJECT, RT_PROJECT | RT_ASYNC, api_instance_state_put, "Start, stop, restart, freeze or unfreeze an instance" },
	{ "GET",    "/1.0/operations",                        MAY_PROJECT, RT_INLINE | RT_ALLPROJECTS, api_operations_get, "List operations by status" },
	{ "GET",    "/1.0/operations/{id}",                   MAY_PROJECT, RT_INLINE,  api_operation_get,             "Show an operation" },
	{ "DELETE", "/1.0/operations/{id}",                   MAY_PROJECT, RT_INLINE,  api_operation_delete,          "Cancel an operation" },
	{ "GET",    "/1.0/operations/{id}/wait",              MAY_ALL,     RT_INLINE,  api_operation_wait_get,        "Wait until an operation is final" },
	{ "GET",    "/1.0/operations/{id}/websocket",         MAY_ALL,     RT_INLINE,  api_operation_websocket_get,   "Open a websocket of an operation" },
	{ "GET",    "/1.0/profiles",                          MAY_PROJECT, RT_PROJECT | RT_ALLPROJECTS, api_profiles_get,              "List profiles" },
	{ "POST",   "/1.0/profiles",                          MAY_PROJECT, RT_PROJECT, api_profiles_post,             "Create a profile" },
	{ "GET",    "/1.0/profiles/{name}",                   MAY_PROJECT, RT_PROJECT, api_profile_get,               "Show a profile" },
	{ "PUT",    "/1.0/profiles/{name}",                   MAY_PROJECT, RT_PROJECT, api_profile_put,               "Replace a profile" },
	{ "PATCH",  "/1.0/profiles/{name}",                   MAY_PROJECT, RT_PROJECT, api_profile_patch,             "Change a profile" },
	{ "POST",   "/1.0/profiles/{name}",                   MAY_PROJECT, RT_PROJECT, api_profile_post,              "Rename a profile" },
	{ "DELETE", "/1.0/profiles/{name}",                   MAY_PROJECT, RT_PROJECT, api_profile_delete,            "Delete a profile" },
	{ "GET",    "/1.0/projects",                          MAY_ADMIN,   0,          api_projects_get,              "List projects" },
	{ "POST",   "/1.0/projects",                          MAY_ADMIN,   0,          api_projects_post,             "Create a project" },
	{ "GET",    "/1.0/projects/{name}",                   MAY_ADMIN,   0,          api_project_get,               "Show a project" },
	{ "PUT",    "/1.0/projects/{name}",                   MAY_ADMIN,   0,          api_project_put,               "Replace a project" },
	{ "PATCH",  "/1.0/projects/{name}",                   MAY_ADMIN,   0,          api_project_patch,             "Change a project" },
	{ "POST",   "/1.0/projects/{name}",                   MAY_ADMIN,   RT_ASYNC,   api_project_post,              "Rename a project" },
	{ "DELETE", "/1.0/projects/{name}",                   MAY_ADMIN,   0,          api_project_delete,            "Delete a project" },
	{ "GET",    "/1.0/resources",                         MAY_TRUSTED, 0,          api_resources_get,             "Show what the host is made of" },
	{ "GET",    "/1.0/templates",                         MAY_PROJECT, RT_PROJECT, api_templates_get,             "List image templates" },
	{ "GET",    "/1.0/templates/{name}",                  MAY_PROJECT, RT_PROJECT, api_template_get,              "Show an image template" },
	{ "GET",    "/1.0/warnings",                          MAY_ADMIN,   0,          api_warnings_get,              "List warnings" },
	{ "GET",    "/1.0/warnings/{uuid}",                   MAY_ADMIN,   0,          api_warning_get,               "Show a warning" },
	{ "PUT",    "/1.0/warnings/{uuid}",                   MAY_ADMIN,   0,          api_warning_put,               "Acknowledge a warning" },
	{ "PATCH",  "/1.0/warnings/{uuid}",                   MAY_ADMIN,   0,          api_warning_put,               "Acknowledge a warning" },
	{ "DELETE", "/1.0/warnings/{uuid}",                   MAY_ADMIN,   0,          api_warning_delete,            "Delete a warning" },
	{ "GET",    "/internal/ready",                        MAY_ADMIN,   RT_INLINE,  api_internal_ready_get,        "Tell whether the daemon has started" },
	{ "PUT",    "/internal/shutdown",                     MAY_ADMIN,   RT_INLINE,  api_internal_shutdown_put,     "Ask the daemon to end" },
};
/* clang-format on */

const struct route *route_table(size_t *n_out)
{
	*n_out = LXM_ARRAY_LEN(routes);
	return routes;
}
