// SPDX-License-Identifier: MIT
#define _GNU_SOURCE // vasprintf
#include "libbpf_log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char lines[NATTRACE_LOG_LINES][NATTRACE_LOG_LINE_LENGTH];
static uint64_t count;
static bool echoing;

static void keep(const char *text, size_t length)
{
	char *line = lines[count % NATTRACE_LOG_LINES];

	if (length > NATTRACE_LOG_LINE_LENGTH - 1)
		length = NATTRACE_LOG_LINE_LENGTH - 1;
	memcpy(line, text, length);
	line[length] = '\0';
	count++;
}

// A verifier log comes as one message of up to 16 MB. Its end says what was refused, so
// it is formatted whole and cut into lines, of which the ring keeps the last.
static int print(unsigned int level, const char *format, va_list arguments)
{
	const unsigned int debug = 2; // LIBBPF_DEBUG
	char *text = NULL;

	pthread_mutex_lock(&lock);
	if ((level < debug || echoing) && vasprintf(&text, format, arguments) >= 0) {
		if (echoing)
			fputs(text, stderr);
		for (const char *line = text; level < debug && *line;) {
			size_t length = strcspn(line, "\n");

			if (length)
				keep(line, length);
			line += length + (line[length] == '\n');
		}
		free(text);
	}
	pthread_mutex_unlock(&lock);
	return 0;
}

void *nattrace_log_function(void)
{
	return (void *)print;
}

void nattrace_log_echo(bool echo)
{
	pthread_mutex_lock(&lock);
	echoing = echo;
	pthread_mutex_unlock(&lock);
}

uint64_t nattrace_log_count(void)
{
	pthread_mutex_lock(&lock);
	uint64_t result = count;
	pthread_mutex_unlock(&lock);
	return result;
}

bool nattrace_log_line(uint64_t index, char *line, size_t size)
{
	bool found = false;

	pthread_mutex_lock(&lock);
	if (size && index < count && count - index <= NATTRACE_LOG_LINES) {
		snprintf(line, size, "%s", lines[index % NATTRACE_LOG_LINES]);
		found = true;
	}
	pthread_mutex_unlock(&lock);
	return found;
}
