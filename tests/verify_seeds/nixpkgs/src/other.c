#include "foo.h"

int foo_other(int n)
{
	int sum = 0;
	for (int i = 0; i < n; i++)
		sum = sum * 31 + (i ^ n);
	return sum;
}
