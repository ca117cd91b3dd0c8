"""A real Linux as a guest: fetched from Debian's archive or taken from files, packed with a small init, and booted.

========================  =============================================================================================
:mod:`.mirrors`           where this machine's apt finds Debian's archive
:mod:`.apt`               a private apt root: lists, versions, packages, and what went wrong
:mod:`.cache`             the folder of what has been fetched and made
:mod:`.kernels`           which packages a kernel is made of, and what of them is needed
:mod:`.deb`               packages, read by the standard library
:mod:`.modules`           kernel modules: what they need, and the tables that modprobe reads
:mod:`.cpio`              archives in the format of initramfs
:mod:`.initramfs`         the initramfs, with ``init.sh``
:mod:`.rootfs`            a disk with Debian packages
:mod:`.guest`             what the guest's init tells of a command: its output, its status
:mod:`.job`               from options to a kernel, an initramfs and boot arguments
========================  =============================================================================================
"""
