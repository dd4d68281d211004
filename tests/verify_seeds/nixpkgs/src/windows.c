int foo_windows(void)
{
	return 1;
}
