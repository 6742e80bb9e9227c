/* The user namespace of this process. */
#ifndef LXM_BASE_USERNS_H
#define LXM_BASE_USERNS_H

#include <stdbool.h>

/** Does this process have fewer ids than the host, as in a container? Reads /proc. */
bool lxm_in_userns(void);

#endif
