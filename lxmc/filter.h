/* Which instances `list` shows. */
#ifndef LXM_LXMC_FILTER_H
#define LXM_LXMC_FILTER_H

#include <jansson.h>
#include <stdbool.h>

/**
 * Whether an instance passes a filter as lxc knows them: a name's beginning or a regular expression on the whole name;
 * KEY=VALUE with KEY a property (name, status, type, architecture, location, project, description), ipv4 or ipv6
 * (address or network), or a configuration key whose parts may be shortened ("s.privileged=true"). Values may be
 * regular expressions; VALUE may list several with commas for properties.
 */
bool filter_matches(const json_t *instance, const char *filter);

#endif
