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
	{ "GET",    "/1.0/events",                            MAY_PROJECT, RT_PROJECT | RT_ALLPROJECTS, api_events_get, "Websocket of events" },
	{ "GET",    "/1.0/operations",                        MAY_PROJECT, RT_INLINE | RT_ALLPROJECTS, api_operations_get, "List operations by status" },
	{ "GET",    "/1.0/operations/{id}",                   MAY_PROJECT, RT_INLINE,  api_operation_get,             "Show an operation" },
	{ "DELETE", "/1.0/operations/{id}",                   MAY_PROJECT, RT_INLINE,  api_operation_delete,          "Cancel an operation" },
	{ "GET",    "/1.0/operations/{id}/wait",              MAY_ALL,     RT_INLINE,  api_operation_wait_get,        "Wait until an operation is final" },
	{ "GET",    "/1.0/operations/{id}/websocket",         MAY_ALL,     RT_INLINE,  api_operation_websocket_get,   "Open a websocket of an operation" },
	{ "GET",    "/1.0/templates",                         MAY_PROJECT, RT_PROJECT, api_templates_get,             "List image templates" },
	{ "GET",    "/1.0/templates/{name}",                  MAY_PROJECT, RT_PROJECT, api_template_get,              "Show an image template" },
	{ "GET",    "/internal/ready",                        MAY_ADMIN,   RT_INLINE,  api_internal_ready_get,        "Tell whether the daemon has started" },
	{ "PUT",    "/internal/shutdown",                     MAY_ADMIN,   RT_INLINE,  api_internal_shutdown_put,     "Ask the daemon to end" },
};
/* clang-format on */

const struct route *route_table(size_t *n_out)
{
	*n_out = LXM_ARRAY_LEN(routes);
	return routes;
}
