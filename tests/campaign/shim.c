/* Makes the n-th write or sync below a folder fail, in a process that has this library preloaded and called shim_arm.

   folder  only files below it count
   at      number of the write that fails, from 1; 0 only counts
   kind    full (ENOSPC, and so are all later writes), io (EIO, once), short (half is written, then the disk is full)  */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static long count, at;
static int is_full;
static char folder[4096], kind[16];

void shim_arm(const char *where, long number, const char *how) {
  strncpy(folder, where, sizeof folder - 1);
  strncpy(kind, how, sizeof kind - 1);
  at = number;
  count = is_full = 0;
}

long shim_count(void) { return count; }

static int ours(int fd) {
  char link[64], path[4096];
  ssize_t n;
  if (!*folder) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  n = readlink(link, path, sizeof path - 1);
  if (n < 0) return 0;
  path[n] = 0;
  return !strncmp(path, folder, strlen(folder));
}

/* What becomes of a write of `size` bytes: how many are let through, or -1. */
static ssize_t allowed(int fd, size_t size) {
  if (!ours(fd)) return (ssize_t)size;
  count++;
  if (is_full) {
    errno = ENOSPC;
    return -1;
  }
  if (!at || count != at) return (ssize_t)size;
  is_full = strcmp(kind, "io") != 0;
  if (!strcmp(kind, "short") && size > 1) return (ssize_t)(size / 2);
  errno = is_full ? ENOSPC : EIO;
  return -1;
}

ssize_t write(int fd, const void *data, size_t size) {
  static ssize_t (*real)(int, const void *, size_t);
  ssize_t n = allowed(fd, size);
  if (!real) real = dlsym(RTLD_NEXT, "write");
  return n < 0 ? n : real(fd, data, (size_t)n);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t place) {
  static ssize_t (*real)(int, const void *, size_t, off_t);
  ssize_t n = allowed(fd, size);
  if (!real) real = dlsym(RTLD_NEXT, "pwrite");
  return n < 0 ? n : real(fd, data, (size_t)n, place);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t place) {
  static ssize_t (*real)(int, const void *, size_t, off64_t);
  ssize_t n = allowed(fd, size);
  if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
  return n < 0 ? n : real(fd, data, (size_t)n, place);
}

static int synced(int fd, int (*real)(int)) {
  if (ours(fd)) {
    count++;
    if (at && count == at) {
      errno = EIO;
      return -1;
    }
  }
  return real(fd);
}

int fsync(int fd) {
  static int (*real)(int);
  if (!real) real = dlsym(RTLD_NEXT, "fsync");
  return synced(fd, real);
}

int fdatasync(int fd) {
  static int (*real)(int);
  if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
  return synced(fd, real);
}
