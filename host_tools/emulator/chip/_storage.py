# Mounts the file system the way each port's frozen start-up code does.

import sys

import vfs


# ports/esp32/modules/{_boot,flashbdev,inisetup}.py
def _mount_esp32():
    import time

    from esp32 import Partition

    found = Partition.find(Partition.TYPE_DATA, label="vfs")
    if not found:
        return
    device = found[0]
    try:
        vfs.mount(vfs.VfsLfs2(device), "/")
        return
    except OSError:
        pass
    head = bytearray(device.ioctl(5, 0))
    device.readblocks(0, head)
    while head != b"\xff" * len(head):
        print(
            "The filesystem appears to be corrupted. If you had important data there, you\n"
            "may want to make a flash snapshot to try to recover it. Otherwise, perform\n"
            "factory reprogramming of MicroPython firmware (completely erase flash, followed\n"
            "by firmware programming)."
        )
        time.sleep(3)
    vfs.VfsLfs2.mkfs(device)
    vfs.mount(vfs.VfsLfs2(device), "/")
    with open("boot.py", "w") as file:
        file.write("# This file is executed on every boot (including wake-boot from deepsleep)\n")


# ports/rp2/modules/_boot.py
def _mount_rp2():
    import rp2

    device = rp2.Flash()
    try:
        filesystem = vfs.VfsLfs2(device, progsize=256)
    except OSError:
        vfs.VfsLfs2.mkfs(device, progsize=256)
        filesystem = vfs.VfsLfs2(device, progsize=256)
    vfs.mount(filesystem, "/")


def mount(port):
    vfs.umount("/")
    rom = sys.path[-2:] if "/rom" in sys.path else []
    sys.path[:] = ["", ".frozen"] + rom + ["/lib"]
    if port == "esp32":
        _mount_esp32()
    else:
        _mount_rp2()
