#!/bin/busybox sh
# The first program of the guest: mounts what Linux offers, loads the modules of the devices that are there, goes on to
# the root file system if there is one, runs the command or a shell, tells the host its status, and turns off.
here=/realmlab
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root

tell() { printf '\036%s%s\036' "$nonce" "$1" > /dev/console; }

load_for() { # the modules of devices, which these files name
    names=
    for file; do [ -e "$file" ] && read -r name < "$file" && names="$names $name"; done
    [ -z "$names" ] || modprobe -q -a $names 2> /dev/null
}

prepare() {
    /bin/busybox --install -s /bin
    mount -t proc proc /proc
    mount -t sysfs sysfs /sys
    mount -t devtmpfs dev /dev
    mkdir /dev/pts /dev/shm
    mount -t devpts devpts /dev/pts
    mount -t tmpfs tmpfs /tmp
    if [ -d /lib/modules ]; then
        load_for /sys/bus/*/devices/*/modalias
        load_for /sys/bus/virtio/devices/*/modalias
        while read -r name; do modprobe -q "$name" || echo "realmlab: module $name is not loaded" >&2; done < $here/modules
    fi
    mount -t configfs configfs /sys/kernel/config 2> /dev/null
    echo realm > /proc/sys/kernel/hostname
    ip link set lo up 2> /dev/null
    if [ -e $here/network ] && [ -e /sys/class/net/eth0 ]; then
        ip link set eth0 up
        udhcpc -q -n -f -t 3 -T 1 -i eth0 -s $here/lease > /dev/null 2>&1 || echo "realmlab: eth0 gets no address" >&2
    fi
    while read -r kind tag; do
        mkdir -p "/mnt/$tag"
        [ "$kind" = 9p ] && how="-o trans=virtio,version=9p2000.L" || how=
        mount -t "$kind" $how "$tag" "/mnt/$tag" || echo "realmlab: the folder $tag cannot be mounted" >&2
    done < $here/shares
}

option() { # the value of NAME= on the kernel's command line
    for word in $(cat /proc/cmdline); do
        case $word in "$1"=*) echo "${word#*=}" ;; esac
    done | tail -n 1
}

move_to_root() {
    root=$(option root)
    [ -n "$root" ] && [ -z "$moved" ] || return
    for round in 1 2 3 4 5 6 7 8 9 10; do [ -b "$root" ] && break; sleep 0.1; done
    if ! mount -o rw "$root" /newroot; then
        echo "realmlab: $root cannot be mounted as the root file system" >&2
        return
    fi
    mkdir -p /newroot/proc /newroot/sys /newroot/dev /newroot/tmp /newroot/run /newroot/mnt
    for folder in /proc /sys /dev /tmp; do mount -o move $folder /newroot$folder; done
    while read -r kind tag; do mkdir -p "/newroot/mnt/$tag" && mount -o move "/mnt/$tag" "/newroot/mnt/$tag"; done < $here/shares
    mount -t tmpfs tmpfs /newroot/run
    mkdir /newroot/run$here
    cp -a $here/. /newroot/run$here/
    cp /bin/busybox /newroot/run$here/busybox
    moved=yes exec switch_root /newroot /run$here/busybox sh /run$here/init
}

run_guest() {
    nonce=$(cat $here/nonce)
    shell=/bin/sh
    [ -x /bin/bash ] && shell=/bin/bash
    [ -n "$moved" ] && busybox=$here/busybox || busybox=/bin/busybox
    cd "$HOME" 2> /dev/null || cd /
    if [ -e $here/command ]; then
        command=$(cat $here/command)
        rm -f $here/nonce $here/command
        $busybox stty -opost -echo < /dev/console
        tell +
        $busybox setsid $busybox cttyhack $shell -c "$command"
    else
        rm -f $here/nonce
        tell +
        $busybox setsid $busybox cttyhack $shell -i
    fi
    status=$?
    sync
    tell "=$status"
    # the last one to close the console waits until everything is sent
    kill -9 -1 2> /dev/null
    exec < /dev/null > /dev/null 2>&1
    $busybox poweroff -f
}

if [ -n "$moved" ]; then here=/run/realmlab; else prepare; move_to_root; fi
run_guest
