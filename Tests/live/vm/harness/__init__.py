"""The parts of Tests/live/vm/vm: kernels (the cache), initramfs, machine, tools."""
