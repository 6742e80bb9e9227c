/* clone3 with CLONE_VM | CLONE_VFORK: the one piece of assembly that spawn.c stands on. */
#ifndef LXM_SPAWN_CLONE_H
#define LXM_SPAWN_CLONE_H

#include <stddef.h>

/**
 * Run fn(arg) in a child that shares our memory, on its own stack, while the calling thread sleeps until the child
 * executes or exits.
 *
 * @cgroup_fd   v2 cgroup directory to be born in, <= 0: ours
 * @pidfd_out   receives the child's pidfd
 *
 * fn must only make system calls; its return value is the exit status. Returns the pid or -errno.
 */
int clone_vfork(int (*fn)(void *), void *arg, void *stack, size_t stack_size, int cgroup_fd, int *pidfd_out);

#endif
