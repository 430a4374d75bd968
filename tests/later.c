// Loaded before a program's libraries (LD_PRELOAD): its calendar is ONEBIT_TEST_LATER_S seconds ahead, and the clock by which
// it waits is not.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real)
    real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int failed = real(clock, time);
  const char *later = getenv("ONEBIT_TEST_LATER_S");
  if (!failed && clock == CLOCK_REALTIME && later)
    time->tv_sec += atol(later);
  return failed;
}
