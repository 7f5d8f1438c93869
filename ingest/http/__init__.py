"""The gate's HTTP: which tier was asked, how a body is read, what is answered, and every route but the hot one."""
