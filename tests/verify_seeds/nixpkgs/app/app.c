#include <foo.h>
int main(void)
{
	foo_print("the app");
	return 0;
}
