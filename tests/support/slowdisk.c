/* Loaded before the C library (LD_PRELOAD): storage whose positioned reads take SLOW_US
   microseconds each. SLOW_FILE gets the most reads that were made at once; those of a file whose
   name ends in SLOW_BAD fail from SLOW_AFTER reads on. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int flying, most, reads;

static int begin(int fd)
{
    const char *us = getenv("SLOW_US"), *told = getenv("SLOW_FILE"), *bad = getenv("SLOW_BAD");
    const char *after = getenv("SLOW_AFTER");
    char link[64], name[4096];
    int fails = 0;
    pthread_mutex_lock(&lock);
    reads++;
    if (++flying > most) {
        most = flying;
        FILE *file = told ? fopen(told, "w") : NULL;
        if (file) {
            fprintf(file, "%d\n", most);
            fclose(file);
        }
    }
    if (bad && reads > (after ? atoi(after) : 0)) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, name, sizeof name - 1);
        size_t m = strlen(bad);
        fails = n > (ssize_t)m && !memcmp(name + n - m, bad, m);
    }
    pthread_mutex_unlock(&lock);
    usleep(us ? atoi(us) : 5000);
    return fails;
}

static ssize_t end(ssize_t result, int fails)
{
    pthread_mutex_lock(&lock);
    flying--;
    pthread_mutex_unlock(&lock);
    if (fails)
        errno = EIO;
    return fails ? -1 : result;
}

#define REAL(name, ...) \
    static ssize_t (*real)(__VA_ARGS__); \
    if (!real) \
        real = dlsym(RTLD_NEXT, name);

#define READ(name) \
    ssize_t name(int fd, void *to, size_t n, off_t at) \
    { \
        REAL(#name, int, void *, size_t, off_t) \
        int fails = begin(fd); \
        return end(fails ? 0 : real(fd, to, n, at), fails); \
    }
#define READV(name) \
    ssize_t name(int fd, const struct iovec *to, int n, off_t at, int flags) \
    { \
        REAL(#name, int, const struct iovec *, int, off_t, int) \
        int fails = begin(fd); \
        return end(fails ? 0 : real(fd, to, n, at, flags), fails); \
    }

READ(pread)
READ(pread64)
/* what Python's os.preadv calls */
READV(preadv2)
READV(preadv64v2)
