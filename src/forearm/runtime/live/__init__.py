"""A run in real time: station, loop, inference, recorder and watchdog, each a process that may fail alone."""
