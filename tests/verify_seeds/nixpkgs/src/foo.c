#include <stdio.h>
#include <string.h>
#include "foo.h"

static int table[64];

int foo_sum(const char *s)
{
	int n = 0;
	for (size_t i = 0; i < strlen(s); i++) {
		table[i % 64] += s[i] * FOO_SCALE;
		n += table[i % 64];
	}
	return n;
}

const char *foo_version(void)
{
	return "the library foo, version one of the seeds";
}

#ifdef FOO_OTHER_SYSTEM
int foo_elsewhere(void)
{
	return 1;
}
#endif

int foo_print(const char *who)
{
	/* says hello */
	return printf("hello %s from %s, whose sum is %d\n", who, foo_version(), foo_sum(who));
}
