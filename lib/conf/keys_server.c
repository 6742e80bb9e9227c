/* Keys of the server. Rows are sorted by name; KEY_LOCAL ones belong to one host and live in node.db. */
#include "lib/conf/checks.h"
#include "lib/conf/tables.h"

static int check_nic_host(const char *key, const char *value, struct lxm_err *e)
{
	return check_words(value, "random|mac", e);
}

static int check_tls_version(const char *key, const char *value, struct lxm_err *e)
{
	return check_words(value, "1.2|1.3", e);
}

/* clang-format off */
static const struct confkey server_keys[] = {
	{ "backups.compression_algorithm",  KEY_TEXT, KEY_LIVE,                          "gzip",   check_compression,   "Compressor of backups" },
	{ "cluster.https_address",          KEY_TEXT, KEY_LOCAL | KEY_LATER,             NULL,     check_listen,        "Address for cluster traffic" },
	{ "cluster.images_minimal_replica", KEY_INT,  KEY_LIVE | KEY_LATER,              "3",      NULL,                "Members that keep each image" },
	{ "cluster.join_token_expiry",      KEY_TEXT, KEY_LIVE | KEY_LATER,              "3H",     check_expiry,        "Life of join tokens" },
	{ "cluster.max_standby",            KEY_UINT, KEY_LIVE | KEY_LATER,              "2",      NULL,                "Stand-by database members" },
	{ "cluster.max_voters",             KEY_UINT, KEY_LIVE | KEY_LATER,              "3",      NULL,                "Voting database members" },
	{ "cluster.offline_threshold",      KEY_UINT, KEY_LIVE | KEY_LATER,              "20",     NULL,                "Seconds until a silent member counts as offline" },
	{ "core.bgp_address",               KEY_TEXT, KEY_LOCAL | KEY_LIVE | KEY_LATER,  NULL,     check_listen,        "Address of the BGP server" },
	{ "core.bgp_asn",                   KEY_UINT, KEY_LIVE | KEY_LATER,              NULL,     check_u32,           "AS number of the BGP server" },
	{ "core.bgp_routerid",              KEY_TEXT, KEY_LOCAL | KEY_LIVE | KEY_LATER,  NULL,     check_ip4,           "Router id of the BGP server" },
	{ "core.debug_address",             KEY_TEXT, KEY_LOCAL | KEY_LIVE | KEY_LATER,  NULL,     check_listen,        "Address of a debug listener" },
	{ "core.dns_address",               KEY_TEXT, KEY_LOCAL | KEY_LIVE | KEY_LATER,  NULL,     check_listen,        "Address of the DNS server" },
	{ "core.https_address",             KEY_TEXT, KEY_LOCAL | KEY_LIVE,              NULL,     check_listen,        "Addresses of the API over TLS" },
	{ "core.https_allowed_credentials", KEY_BOOL, KEY_LIVE,                          "false",  NULL,                "Access-Control-Allow-Credentials" },
	{ "core.https_allowed_headers",     KEY_TEXT, KEY_LIVE,                          NULL,     NULL,                "Access-Control-Allow-Headers" },
	{ "core.https_allowed_methods",     KEY_TEXT, KEY_LIVE,                          NULL,     NULL,                "Access-Control-Allow-Methods" },
	{ "core.https_allowed_origin",      KEY_TEXT, KEY_LIVE,                          NULL,     NULL,                "Access-Control-Allow-Origin" },
	{ "core.https_tls_minimum",         KEY_TEXT, KEY_LIVE,                          "1.3",    check_tls_version,   "Oldest TLS version that is spoken: 1.3 or 1.2" },
	{ "core.https_trusted_proxy",       KEY_TEXT, KEY_LIVE,                          NULL,     check_ip_list,       "Proxies whose word on the client address counts" },
	{ "core.metrics_address",           KEY_TEXT, KEY_LOCAL | KEY_LIVE,              NULL,     check_listen,        "Address of the metrics listener" },
	{ "core.metrics_authentication",    KEY_BOOL, KEY_LIVE,                          "true",   NULL,                "Ask for a certificate on the metrics listener" },
	{ "core.proxy_http",                KEY_TEXT, KEY_LIVE,                          NULL,     check_url,           "Proxy for http://" },
	{ "core.proxy_https",               KEY_TEXT, KEY_LIVE,                          NULL,     check_url,           "Proxy for https://" },
	{ "core.proxy_ignore_hosts",        KEY_TEXT, KEY_LIVE,                          NULL,     check_hostname_list, "Hosts that are reached without the proxy" },
	{ "core.remote_token_expiry",       KEY_TEXT, KEY_LIVE,                          NULL,     check_expiry,        "Life of tokens that add a client" },
	{ "core.shutdown_timeout",          KEY_UINT, KEY_LIVE | KEY_LATER,              "5",      NULL,                "Minutes to wait for operations at shutdown" },
	{ "core.syslog_socket",             KEY_BOOL, KEY_LOCAL | KEY_LIVE | KEY_LATER,  "false",  NULL,                "Take syslog messages on a socket" },
	{ "core.trust_ca_certificates",     KEY_BOOL, KEY_LIVE,                          "false",  NULL,                "Trust clients that the CA signed" },
	{ "core.trust_password",            KEY_TEXT, KEY_SECRET | KEY_LIVE,             NULL,     NULL,                "Password that adds a client (old clients)" },
	{ "images.auto_update_cached",      KEY_BOOL, KEY_LIVE,                          "true",   NULL,                "Keep fetched images fresh" },
	{ "images.auto_update_interval",    KEY_UINT, KEY_LIVE,                          "6",      NULL,                "Hours between looks for newer images, 0: never" },
	{ "images.compression_algorithm",   KEY_TEXT, KEY_LIVE,                          "gzip",   check_compression,   "Compressor of new images" },
	{ "images.default_architecture",    KEY_TEXT, KEY_LIVE,                          NULL,     check_architecture,  "Architecture of images when none is named" },
	{ "images.remote_cache_expiry",     KEY_UINT, KEY_LIVE,                          "10",     NULL,                "Days after which an unused fetched image is deleted" },
	{ "instances.nic.host_name",        KEY_TEXT, KEY_LIVE,                          "random", check_nic_host,      "How host ends of NICs are named" },
	{ "storage.backups_volume",         KEY_TEXT, KEY_LOCAL | KEY_LIVE | KEY_LATER,  NULL,     NULL,                "Volume POOL/NAME that holds backups" },
	{ "storage.images_volume",          KEY_TEXT, KEY_LOCAL | KEY_LIVE | KEY_LATER,  NULL,     NULL,                "Volume POOL/NAME that holds images" },
	{ "user.*",                         KEY_BLOB, KEY_LIVE,                          NULL,     NULL,                "For people and scripts" },
};
/* clang-format on */

const struct conftable conf_server = { "server", server_keys, LXM_ARRAY_LEN(server_keys) };
