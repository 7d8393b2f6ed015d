"""A Raspberry Pi's hardware for machines without one: what the kernel offers to Blinka, and the world behind it.

hardware.py   I2C buses and GPIO lines, in the test's process; they outlive the service's process
kernel.py     /dev/i2c-N and /dev/gpiochipN, in the service's process, below unmodified Blinka
__main__.py   starts any module with that kernel: python -m host_tools.emulator.pi SOCKET MODEL MODULE [ARGUMENT...]
"""
