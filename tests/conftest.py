"""What is the same for every test."""

import signal

# Signals do what they do in a terminal, whatever started the tests: nohup ignores a hang-up, a shell's "&" an interrupt.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
