#ifndef FOO_H
#define FOO_H
/* the header of the library */
#define FOO_SCALE 3
#define FOO_NAME "a name of the header of foo"
int foo_sum(const char *s);
const char *foo_version(void);
int foo_print(const char *who);
int foo_other(int n);
#endif
