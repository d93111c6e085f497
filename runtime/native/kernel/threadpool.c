/* Thread pool: workers that take blocks of one job at a time and sleep between two jobs. */

#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include "internal.h"

#define SPIN_LIMIT 4000 /* spins on a step that another thread still works on, before the core is given away */

struct ThreadPool {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    atomic_flag busy;
    atomic_int active; /* workers that are in a job */
    const Job *job;
    Progress *progress;
    unsigned long turn;
    int closing, count;
    pthread_t threads[];
};

void spin_wait(int spins) {
    if (spins >= SPIN_LIMIT) sched_yield();
#if defined(__x86_64__)
    else __builtin_ia32_pause();
#elif defined(__aarch64__)
    else __asm__ volatile("yield");
#endif
}

static void *worker_main(void *argument) {
    ThreadPool *pool = argument;
    unsigned long seen = 0;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->closing && (pool->turn == seen || !pool->job)) {
            seen = pool->turn;
            pthread_cond_wait(&pool->wake, &pool->lock);
        }
        if (pool->closing) break;
        seen = pool->turn;
        const Job *job = pool->job;
        Progress *progress = pool->progress;
        atomic_fetch_add(&pool->active, 1);
        pthread_mutex_unlock(&pool->lock);
        run_steps(job, progress);
        atomic_fetch_sub(&pool->active, 1);
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

void dandelion_pool_destroy(ThreadPool *pool) {
    pthread_mutex_lock(&pool->lock);
    pool->closing = 1;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->count; i++) pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

ThreadPool *dandelion_pool_create(int workers) {
    ThreadPool *pool = calloc(1, sizeof(ThreadPool) + workers * sizeof(pthread_t));
    if (!pool) return NULL;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    atomic_flag_clear(&pool->busy);
    sigset_t all, before; /* signals are Python's: its main thread must be the one that they wake */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool->count < workers && !pthread_create(&pool->threads[pool->count], NULL, worker_main, pool)) pool->count++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pool->count == workers) return pool;
    dandelion_pool_destroy(pool);
    return NULL;
}

/* Run the job with all workers and the thread that calls. Returns 0 if another job has the pool. */
int pool_run(ThreadPool *pool, Job *job, Progress *progress) {
    if (atomic_flag_test_and_set(&pool->busy)) return 0;
    job->threads = pool->count + 1;
    pthread_mutex_lock(&pool->lock);
    pool->job = job;
    pool->progress = progress;
    pool->turn++;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    run_steps(job, progress);
    pthread_mutex_lock(&pool->lock); /* no worker begins with this job any more; */
    pool->job = NULL;
    pthread_mutex_unlock(&pool->lock);
    for (int spins = 0; atomic_load(&pool->active); spins++) spin_wait(spins); /* those that have begun find nothing left */
    atomic_flag_clear(&pool->busy);
    return 1;
}
