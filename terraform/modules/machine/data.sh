#!/bin/sh
# Brings the disk DEVICE by attach.sh beside this file, and mounts it at STATE: one try, after which another may follow at any time.
set -eu
umask 077
device=$1
state=$2

mountpoint -q "$state" && exit 0
if [ ! -e "$device" ]; then
  sh "$(dirname "$0")/attach.sh" || { echo "the disk cannot be attached yet: $device" >&2; exit 1; }
  # Whether udev is done, or has taken too long, the device says.
  udevadm settle --timeout=10 || :
  [ -e "$device" ] || { echo "the disk is attached, and $device is not there yet" >&2; exit 1; }
fi

# Formatted only where no file system is found and the first MiB was never written: blkid also says 2 of what it cannot read.
found=0
blkid -p "$device" >/dev/null || found=$?
if [ "$found" = 2 ] && cmp -s -n 1048576 "$device" /dev/zero; then
  mkfs.ext4 -q "$device"
elif [ "$found" != 0 ]; then
  echo "$device holds something that is no file system, and is left as it is" >&2
  exit 1
fi
mkdir -p "$state"
mount -o noatime,nodev,nosuid,noexec "$device" "$state"

# Another image may have given the user another number.
id atoll >/dev/null 2>&1 || useradd --system --user-group --home-dir "$state" --shell /usr/sbin/nologin atoll
if [ "$(stat -c %u "$state")" != "$(id -u atoll)" ]; then chown -R atoll:atoll "$state"; fi
