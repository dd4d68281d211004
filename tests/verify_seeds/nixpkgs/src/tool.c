#include "foo.h"
int main(int argc, char **argv)
{
	foo_print(argc > 1 ? argv[1] : FOO_NAME);
	return 0;
}
