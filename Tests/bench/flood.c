/* SPDX-License-Identifier: MIT */
/*
 * Sends SYNs from spoofed sources out of one device, bounded in number, time and rate, and prints how many, as one
 * line of JSON. For namespaces of a benchmark's own: nobody else is on such a link.
 *
 *   flood --device NAME --mac M --address A --port N [--source PREFIX] [--rate N] [--count N] [--seconds S]
 *
 *   --mac M      the receiver's, as 02:00:00:00:00:02
 *   --source P   sources are the addresses behind this one, 2^20 of them (10.64.0.0)
 *   --rate N     SYNs a second (0: as many as go)
 *   --count N    at most so many (100000)
 *   --seconds S  at most so long (60)
 *
 * No two SYNs have the same source address and port before 2^32 have been sent, so each is a handshake of its own.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define SOURCES_LOG2 20
#define MAXIMUM_SECONDS 600
#define MAXIMUM_COUNT 200000000ull

struct frame {
	struct ethhdr ethernet;
	struct iphdr ip;
	struct tcphdr tcp;
	uint8_t options[4]; /* MSS 1460 */
} __attribute__((packed));

static struct frame frames[BATCH];
static struct iovec parts[BATCH];
static struct mmsghdr messages[BATCH];

static void __attribute__((noreturn)) fail(const char *what)
{
	fprintf(stderr, "flood: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static uint32_t sum(const void *bytes, size_t size, uint32_t so_far)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i + 1 < size; i += 2)
		so_far += p[i] << 8 | p[i + 1];
	return so_far;
}

static uint16_t folded(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum);
}

/* SYN number i: its source address and port are a permutation of i, its sequence number another. */
static void make(struct frame *f, uint64_t i, uint32_t base)
{
	uint32_t mixed = (uint32_t)i * 2654435761u;
	/* Odd multiplier, then the halves in turn: all values once. Ports below 1024 stay out by the top bit. */
	uint32_t host = mixed >> (32 - SOURCES_LOG2), port = 0x8000 | (mixed & 0x7fff);

	f->ip.saddr = htonl(base + host);
	f->ip.check = 0;
	f->ip.check = folded(sum(&f->ip, sizeof(f->ip), 0));
	f->tcp.source = htons(port);
	f->tcp.seq = htonl((uint32_t)i * 2246822519u + 1);
	f->tcp.check = 0;
	f->tcp.check = folded(sum(&f->tcp, sizeof(f->tcp) + sizeof(f->options),
				  sum(&f->ip.saddr, 8, IPPROTO_TCP + sizeof(f->tcp) + sizeof(f->options))));
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "device", required_argument, NULL, 'd' },  { "mac", required_argument, NULL, 'm' },
		{ "address", required_argument, NULL, 'a' }, { "port", required_argument, NULL, 'p' },
		{ "source", required_argument, NULL, 'f' },  { "rate", required_argument, NULL, 'r' },
		{ "count", required_argument, NULL, 'n' },   { "seconds", required_argument, NULL, 's' }, {}
	};
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_halen = ETH_ALEN };
	struct in_addr address = {}, source = { htonl(0x0a400000) };
	unsigned long long count = 100000, sent = 0;
	double rate = 0, seconds = 60, begin, elapsed;
	unsigned int mac[6] = {};
	int option, fd, port = 0, buffer = 4 << 20;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'd': to.sll_ifindex = if_nametoindex(optarg); break;
		case 'm':
			if (sscanf(optarg, "%x:%x:%x:%x:%x:%x", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5) != 6)
				return 64;
			break;
		case 'a': inet_pton(AF_INET, optarg, &address); break;
		case 'f': inet_pton(AF_INET, optarg, &source); break;
		case 'p': port = atoi(optarg); break;
		case 'r': rate = atof(optarg); break;
		case 'n': count = strtoull(optarg, NULL, 10); break;
		case 's': seconds = atof(optarg); break;
		default: return 64;
		}
	}
	if (!to.sll_ifindex || !address.s_addr || !port || count > MAXIMUM_COUNT || seconds > MAXIMUM_SECONDS) {
		fputs("flood: wants --device, --mac, --address and --port, and bounds below its own\n", stderr);
		return 64;
	}
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		fail("socket");
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	if (bind(fd, (struct sockaddr *)&to, sizeof(to)))
		fail("bind");
	for (int i = 0; i < BATCH; i++) {
		struct frame *f = &frames[i];

		for (int b = 0; b < 6; b++)
			f->ethernet.h_dest[b] = mac[b];
		f->ethernet.h_source[0] = 2;
		f->ethernet.h_proto = htons(ETH_P_IP);
		f->ip = (struct iphdr){ .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP,
					.tot_len = htons(sizeof(*f) - sizeof(f->ethernet)),
					.frag_off = htons(0x4000), .daddr = address.s_addr };
		f->tcp = (struct tcphdr){ .dest = htons(port), .doff = 6, .syn = 1, .window = htons(64240) };
		memcpy(f->options, "\x02\x04\x05\xb4", 4);
		parts[i] = (struct iovec){ f, sizeof(*f) };
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1 };
	}

	begin = now(CLOCK_MONOTONIC);
	while (sent < count && (elapsed = now(CLOCK_MONOTONIC) - begin) < seconds) {
		unsigned int wanted = count - sent < BATCH ? count - sent : BATCH;
		int n;

		if (rate && sent > rate * elapsed) {
			nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
			continue;
		}
		for (unsigned int i = 0; i < wanted; i++)
			make(&frames[i], sent + i, ntohl(source.s_addr));
		n = sendmmsg(fd, messages, wanted, 0);
		if (n < 0 && errno != ENOBUFS && errno != EINTR)
			fail("sendmmsg");
		sent += n > 0 ? n : 0;
	}
	printf("{\"sent\": %llu, \"seconds\": %.6f, \"cpu\": %.6f}\n", sent, now(CLOCK_MONOTONIC) - begin,
	       now(CLOCK_PROCESS_CPUTIME_ID));
	return 0;
}
