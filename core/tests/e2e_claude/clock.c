/* A wall clock that a test sets for one process: the seconds in the file that TEST_CLOCK names, which stays open, are
 * added to what the kernel says. The clocks that cannot be set stay as they are. Loaded before the C library. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static const volatile long long *ahead;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("TEST_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, fd, 0);
	if (at != MAP_FAILED)
		ahead = at;
	if (fd >= 0)
		close(fd);
}

static long long seconds(void)
{
	return ahead ? *ahead : 0;
}

int clock_gettime(clockid_t id, struct timespec *now)
{
	int failed = syscall(SYS_clock_gettime, id, now);
	if (!failed && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		now->tv_sec += seconds();
	return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	int failed = syscall(SYS_gettimeofday, now, zone);
	if (!failed)
		now->tv_sec += seconds();
	return failed;
}

time_t time(time_t *where)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (where)
		*where = now.tv_sec;
	return now.tv_sec;
}

/* The kernel rings by its own clock. */
int timerfd_settime(int fd, int flags, const struct itimerspec *wanted, struct itimerspec *before)
{
	struct itimerspec real = *wanted;
	int armed = real.it_value.tv_sec || real.it_value.tv_nsec;
	if (armed && (flags & TFD_TIMER_ABSTIME)) {
		real.it_value.tv_sec -= seconds();
		if (real.it_value.tv_sec < 0)
			real.it_value.tv_sec = 0;
		if (!real.it_value.tv_sec && !real.it_value.tv_nsec)
			real.it_value.tv_nsec = 1;
	}
	return syscall(SYS_timerfd_settime, fd, flags, &real, before);
}
