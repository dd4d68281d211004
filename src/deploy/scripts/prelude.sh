set -u; umask 022; export LC_ALL=C PATH="$PATH:/usr/bin:/bin:/usr/sbin:/sbin"
R=$1 T=$2; shift 2
die() { echo "overlayctl: $*" >&2; exit 9; }
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null) || boot=none
alive() { [ "$1" = "$boot" ] && kill -0 "$2" 2>/dev/null; }
owns() { read -r t o < "$R/lock/owner" 2>/dev/null && [ "$t" = "$T" ] || die "the lock of this deploy is gone"; }
