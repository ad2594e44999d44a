/* SPDX-License-Identifier: MIT */
/*
 * Makes one kind of TCP traffic for a while and prints what it was, as one line of JSON.
 *
 *   load MODE --port N [options]
 *
 *   bulk      one established connection, as many bytes as go through: an operation is --size of them received
 *   rr        one established connection, requests and responses of --size bytes in turn
 *   connect   connections one after another: established, then closed by both ends
 *   refuse    connections one after another to a port where nobody listens
 *
 *   --seconds S       how long (1)
 *   --count N         at most so many operations
 *   --interval US     begin an operation every so many microseconds, not at once
 *   --address A       who is dialled, IPv4 (127.0.0.1)
 *   --listen-netns P  the server's network namespace, as a file
 *   --one             both ends in one process
 *   --cpu N           stay on that processor
 *   --fifo            run before everything that is not of real time
 *   --size N          bytes of a request and of a response (64), or of one bulk write (65536)
 *   --backlog N       how many connections may wait at the listener (128)
 *   --hold            open the listener and the connection, print "ready", begin at the end of a line on stdin
 *
 * Two processes on one processor hand over to each other by blocking, so that the rate is the inverse of what an
 * operation costs, and other processors play no part in it. With both ends in one process there is not even
 * a change of processes in it: of all that can be measured, what a tracer adds is the largest share of that.
 *
 * Processor time is that of both ends. What the kernel does in softirqs over loopback and veth runs within the
 * system calls that caused it, and is part of it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum mode { BULK, RR, CONNECT, REFUSE, MODES };
static const char *const mode_names[MODES] = { "bulk", "rr", "connect", "refuse" };

static struct {
	enum mode mode;
	double seconds;
	uint64_t count, interval_ns;
	struct sockaddr_in server;
	const char *listen_netns;
	bool one, fifo, hold;
	int cpu, backlog;
	size_t size;
} settings = { .seconds = 1, .count = UINT64_MAX, .cpu = -1, .backlog = 128 };

/* Shared with the other process: what the server has taken in. */
static volatile uint64_t *received;
static char *buffer;

static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *format, ...)
{
	int code = errno;
	va_list arguments;

	fputs("load: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, ": %s\n", strerror(code));
	exit(1);
}

static uint64_t now(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t))
		fail("clock_gettime");
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int new_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		fail("socket");
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
		fail("TCP_NODELAY");
	return fd;
}

/* In the server's namespace: a socket belongs to the one that it was made in. */
static int new_listener(void)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), away = -1, fd, on = 1;

	if (settings.listen_netns) {
		away = open(settings.listen_netns, O_RDONLY | O_CLOEXEC);
		if (away < 0 || setns(away, CLONE_NEWNET))
			fail("%s", settings.listen_netns);
		close(away);
	}
	fd = new_socket();
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&settings.server, sizeof(settings.server)) || listen(fd, settings.backlog))
		fail("listen on port %u", ntohs(settings.server.sin_port));
	if (settings.listen_netns && setns(home, CLONE_NEWNET))
		fail("setns");
	close(home);
	return fd;
}

static int accept_one(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), on = 1;

	if (fd < 0)
		fail("accept");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

/* Returns the connected socket, or -1 if it was refused. */
static int dial(void)
{
	int fd = new_socket();

	if (!connect(fd, (struct sockaddr *)&settings.server, sizeof(settings.server)))
		return fd;
	if (errno != ECONNREFUSED)
		fail("connect");
	close(fd);
	return -1;
}

/* False at the end of the stream. */
static bool read_all(int fd, size_t size)
{
	for (size_t have = 0; have < size;) {
		ssize_t n = read(fd, buffer, size - have);

		if (n == 0)
			return false;
		if (n < 0)
			fail("read");
		have += n;
	}
	return true;
}

static void write_all(int fd, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = write(fd, buffer, size - done);

		if (n < 0)
			fail("write");
		done += n;
	}
}

/* What the other process does, for one connection or, in `connect`, for all that come. */
static void serve(int listener)
{
	do {
		int fd = accept_one(listener);
		ssize_t n;

		switch (settings.mode) {
		case RR:
			while (read_all(fd, settings.size))
				write_all(fd, settings.size);
			break;
		default:
			while ((n = read(fd, buffer, settings.size)) > 0)
				*received += n;
			if (n < 0)
				fail("read");
		}
		close(fd);
	} while (settings.mode == CONNECT);
}

/* The near end closes first, and stays until the far end has closed: no packet is answered with a reset. */
static void close_both(int near, int far)
{
	if (shutdown(near, SHUT_WR))
		fail("shutdown");
	if (far >= 0) {
		if (read_all(far, 1))
			fail("data that nobody sent");
		close(far);
	}
	if (read_all(near, 1))
		fail("data that nobody sent");
	close(near);
}

/* Both ends of a bulk transfer by turns: what has gone in is taken out before more is written. */
static void pass(int near, int far)
{
	bool moved = false;
	ssize_t n = send(near, buffer, settings.size, MSG_DONTWAIT);

	if (n < 0 && errno != EAGAIN)
		fail("send");
	while ((n = recv(far, buffer, settings.size, MSG_DONTWAIT)) > 0) {
		*received += n;
		moved = true;
	}
	if (n < 0 && errno != EAGAIN)
		fail("recv");
	/* Left to ksoftirqd, which a process of real-time priority that never sleeps would keep from it. */
	if (!moved)
		poll(&(struct pollfd){ .fd = far, .events = POLLIN }, 1, 1000);
}

static void operate(int listener, int near, int far)
{
	int fd;

	switch (settings.mode) {
	case BULK:
		if (far >= 0)
			pass(near, far);
		else
			write_all(near, settings.size);
		break;
	case RR:
		write_all(near, settings.size);
		if (far >= 0) {
			read_all(far, settings.size);
			write_all(far, settings.size);
		}
		if (!read_all(near, settings.size))
			fail("the server is gone");
		break;
	case CONNECT:
		fd = dial();
		if (fd < 0)
			fail("refused");
		close_both(fd, settings.one ? accept_one(listener) : -1);
		break;
	default:
		if (dial() >= 0)
			fail("port %u is not closed", ntohs(settings.server.sin_port));
	}
}

static void wait_until(uint64_t when)
{
	struct timespec t = { .tv_sec = when / 1000000000, .tv_nsec = when % 1000000000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

static void settle_in(void)
{
	cpu_set_t set;

	if (settings.cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET(settings.cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set))
			fail("processor %d", settings.cpu);
	}
	if (settings.fifo && sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ .sched_priority = 1 }))
		fail("SCHED_FIFO");
}

static double number(const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || value < 0) {
		fprintf(stderr, "load: not a number: %s\n", text);
		exit(64);
	}
	return value;
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "port", required_argument, NULL, 'p' },	  { "seconds", required_argument, NULL, 's' },
		{ "count", required_argument, NULL, 'n' },	  { "interval", required_argument, NULL, 'i' },
		{ "address", required_argument, NULL, 'a' },	  { "one", no_argument, NULL, '1' },
		{ "listen-netns", required_argument, NULL, 'l' }, { "cpu", required_argument, NULL, 'c' },
		{ "fifo", no_argument, NULL, 'f' },		  { "size", required_argument, NULL, 'z' },
		{ "hold", no_argument, NULL, 'h' },		  { "backlog", required_argument, NULL, 'b' },
		{}
	};
	int option;

	settings.server.sin_family = AF_INET;
	settings.server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'p': settings.server.sin_port = htons(number(optarg)); break;
		case 's': settings.seconds = number(optarg); break;
		case 'n': settings.count = number(optarg); break;
		case 'i': settings.interval_ns = number(optarg) * 1000; break;
		case 'a':
			if (inet_pton(AF_INET, optarg, &settings.server.sin_addr) != 1)
				exit(64);
			break;
		case 'l': settings.listen_netns = optarg; break;
		case '1': settings.one = true; break;
		case 'c': settings.cpu = number(optarg); break;
		case 'f': settings.fifo = true; break;
		case 'z': settings.size = number(optarg); break;
		case 'h': settings.hold = true; break;
		case 'b': settings.backlog = number(optarg); break;
		default: exit(64);
		}
	}
	for (settings.mode = 0; settings.mode < MODES; settings.mode++)
		if (optind == argc - 1 && !strcmp(argv[optind], mode_names[settings.mode]))
			break;
	if (settings.mode == MODES || !settings.server.sin_port) {
		fputs("load: wants bulk, rr, connect or refuse, and --port\n", stderr);
		exit(64);
	}
	if (!settings.size)
		settings.size = settings.mode == BULK ? 65536 : 64;
}

int main(int argc, char **argv)
{
	int listener = -1, near = -1, far = -1;
	uint64_t begin, end, deadline, cpu, operations = 0, bytes, taken;
	clockid_t other_clock = 0;
	pid_t child = 0;

	parse(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	buffer = calloc(1, settings.size);
	received = mmap(NULL, sizeof(*received), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!buffer || received == MAP_FAILED)
		fail("memory");
	settle_in();
	if (settings.mode != REFUSE)
		listener = new_listener();
	if (settings.mode != REFUSE && !settings.one) {
		child = fork();
		if (child < 0)
			fail("fork");
		if (!child) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			serve(listener);
			exit(0);
		}
		if (clock_getcpuclockid(child, &other_clock))
			fail("the other process's clock");
	}
	if (settings.mode == BULK || settings.mode == RR) {
		near = dial();
		if (near < 0)
			fail("refused");
		if (settings.one)
			far = accept_one(listener);
	}
	if (settings.hold) {
		puts("ready");
		fflush(stdout);
		while (getchar() > '\n')
			;
	}

	begin = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID) + (child ? now(other_clock) : 0);
	bytes = *received;
	deadline = begin + settings.seconds * 1e9;
	do {
		if (settings.interval_ns)
			wait_until(begin + operations * settings.interval_ns);
		operate(listener, near, far);
		operations++;
		end = now(CLOCK_MONOTONIC);
	} while (end < deadline && operations < settings.count);
	taken = *received - bytes;
	if (settings.mode == BULK)
		operations = taken / settings.size;
	cpu = now(CLOCK_PROCESS_CPUTIME_ID) + (child ? now(other_clock) : 0) - cpu;

	printf("{\"mode\": \"%s\", \"operations\": %llu, \"bytes\": %llu, \"seconds\": %.9f, \"cpu\": %.9f}\n",
	       mode_names[settings.mode], (unsigned long long)operations, (unsigned long long)taken,
	       (end - begin) / 1e9, cpu / 1e9);
	if (child) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	return 0;
}
