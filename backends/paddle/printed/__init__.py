"""Programs that an article prints, called as they stand there; Paddle alone has one."""
