/* What of a list a caller may see: restricted certificates see, and count, only what is in their projects. */
#ifndef LXMD_API_SCOPE_H
#define LXMD_API_SCOPE_H

#include <jansson.h>
#include <stdbool.h>

#include "lib/base/str.h"
#include "lxmd/http/request.h"

/** May the caller of the request see objects of that project? True for administrators, also of projects that are gone. */
bool scope_sees(const struct request *rq, const char *project);

/** True for administrators: they see what belongs to no project. */
bool scope_all(const struct request *rq);

/** URLs as JSON (`used_by`), without those of projects that the caller may not see. A URL without project= is one of default. */
json_t *scope_urls(const struct request *rq, const struct lxm_strv *urls);

/** The project that a URL names; free() it. */
char *scope_url_project(const char *url);

#endif
