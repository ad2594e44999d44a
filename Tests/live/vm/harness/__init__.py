"""The parts of Tests/live/vm/vm: kernels and docker (the cache), initramfs, machine, tools."""
