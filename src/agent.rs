//! The executor, the timers, the tasks: the one place where stages meet.
