/* The few numbers of a running instance that are asked for again and again. */
#ifndef LXMD_INSTANCE_METERS_H
#define LXMD_INSTANCE_METERS_H

#include <pthread.h>
#include <stdint.h>

struct lxmd;
struct run;

enum meter {
	METER_CPU,	 /* nanoseconds */
	METER_PROCESSES,
	METER_MEMORY,	 /* bytes */
	METER_PEAK,	 /* bytes at most so far */
	METER_SWAP,	 /* bytes swapped out; v1: with the memory that is not */
	METERS,
};

/* Descriptors of their files, kept from one look to the next. Part of struct run. */
struct meters {
	pthread_mutex_t lock;
	int fd[METERS]; /* guarded by lock; -1: none */
};

/** Nothing is open yet. */
void meters_init(struct meters *m);
/** Closes what is open. */
void meters_deinit(struct meters *m);

/** 0 where the host does not tell, or the instance has ended. Any thread; a microsecond, ten the first time. */
uint64_t meter_read(struct run *run, enum meter m);

/** Close what is kept of all instances: nobody has asked for a while. Any thread. */
void meters_rest(struct lxmd *d);

#endif
