/*
 * libc offers no clone3, and its clone() cannot place a child into a cgroup at birth (moving it afterwards waits for RCU,
 * 5 to 8 ms). A child that shares memory may not return through its parent's stack frames, so the few instructions
 * between the system call and the child's function are written out for each machine; elsewhere clone() serves and the child
 * stays in lxmd's cgroup.
 */
#include "lxmd/spawn/clone.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
static long clone3_call(struct clone_args *a, int (*fn)(void *), void *arg)
{
	long ret;
	/* the kernel keeps these registers; the child reads them on its new stack */
	register int (*f)(void *) __asm__("r12") = fn;
	register void *p __asm__("r13") = arg;

	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "mov %%r13, %%rdi\n\t"
			 "call *%%r12\n\t"
			 "mov %%eax, %%edi\n\t"
			 "mov %[exit], %%eax\n\t"
			 "syscall\n\t"
			 "hlt\n"
			 "1:"
			 : "=a"(ret)
			 : "0"((long)SYS_clone3), "D"(a), "S"(sizeof(*a)), "r"(f), "r"(p), [exit] "i"(SYS_exit)
			 : "rcx", "r11", "memory", "cc");
	return ret;
}
#define HAVE_CLONE3 1
#elif defined(__aarch64__)
static long clone3_call(struct clone_args *a, int (*fn)(void *), void *arg)
{
	register long x0 __asm__("x0") = (long)a;
	register long x1 __asm__("x1") = (long)sizeof(*a);
	register long x8 __asm__("x8") = SYS_clone3;
	register int (*f)(void *) __asm__("x19") = fn;
	register void *p __asm__("x20") = arg;

	__asm__ volatile("svc #0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x29, xzr\n\t"
			 "mov x0, x20\n\t"
			 "blr x19\n\t"
			 "mov x8, %[exit]\n\t"
			 "svc #0\n\t"
			 "brk #0\n"
			 "1:"
			 : "+r"(x0)
			 : "r"(x1), "r"(x8), "r"(f), "r"(p), [exit] "i"(SYS_exit)
			 : "x30", "memory", "cc");
	return x0;
}
#define HAVE_CLONE3 1
#endif

#ifdef HAVE_CLONE3
int clone_vfork(int (*fn)(void *), void *arg, void *stack, size_t stack_size, int cgroup_fd, int *pidfd_out)
{
	struct clone_args a;

	memset(&a, 0, sizeof(a));
	a.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD;
	a.pidfd = (uint64_t)(uintptr_t)pidfd_out;
	a.exit_signal = SIGCHLD;
	a.stack = (uint64_t)(uintptr_t)stack;
	a.stack_size = stack_size;
	if (cgroup_fd > 0) {
		a.flags |= CLONE_INTO_CGROUP;
		a.cgroup = (uint64_t)cgroup_fd;
	}
	return (int)clone3_call(&a, fn, arg);
}
#else
int clone_vfork(int (*fn)(void *), void *arg, void *stack, size_t stack_size, int cgroup_fd, int *pidfd_out)
{
	int pid = clone(fn, (char *)stack + stack_size, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, arg, pidfd_out);

	return pid < 0 ? -errno : pid;
}
#endif
