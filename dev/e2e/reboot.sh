# Run by `cargo xtask test reboot` in a guest that is booted four times on one disk; the first word says which boot it is.
# What fails says so and ends the guest's script with 1.

fail() {
    echo "reboot.sh: $*"
    exit 1
}

# The names of what runs, in one line.
running() {
    echo $(corten ps --format '{{.Names}}' | sort)
}

expect() {
    found=$(running)
    [ "$found" = "$1" ] || fail "boot $boot: running: '$found', expected: '$1'"
}

boot=$1
export TMPDIR=/var/lib/corten/tmp
case $boot in
1)
    mkdir -p "$TMPDIR" "$TMPDIR/tree/bin"
    cp /bin/busybox "$TMPDIR/tree/bin/sh"
    tar -C "$TMPDIR/tree" -c . | corten import - box || fail import
    # Each run says so, and that it was asked to end, in a volume.
    script='echo up >> /data/$NAME; trap "echo asked >> /data/$NAME; exit 3" TERM; while :; do read -t 0.1 x < /proc/1/status; done'
    run() {
        corten run -d --name "$1" --restart "$2" -e NAME="$1" -v data:/data box /bin/sh -c "$script" || fail "run $1"
    }
    run always always
    run unless unless-stopped
    run stopped unless-stopped
    run failure on-failure
    run no no
    corten run -d --rm --name gone box /bin/sh -c "$script" || fail "run gone"
    corten stop -t 1 stopped || fail stop
    expect 'always failure gone no unless'
    # The host shuts down.
    corten boot --stop || fail 'boot --stop'
    expect ''
    ;;
2)
    expect ''
    [ "$(corten boot)" = "$(printf 'always\nunless')" ] || fail 'boot'
    expect 'always unless'
    [ -z "$(corten boot)" ] || fail 'the second boot starts something'
    [ -z "$(corten ps -aq --filter name=gone)" ] || fail 'what goes with its end is there'
    for name in always unless failure no; do
        grep -q asked "/var/lib/corten/volumes/data/_data/$name" || fail "$name was not asked to end"
    done
    corten stop -t 1 always || fail 'stop always'
    # Power is cut: nobody is asked.
    ;;
3)
    expect ''
    # always means always; unless-stopped was not stopped by anybody.
    corten boot || fail 'boot'
    expect 'always unless'
    tries=0
    until [ "$(grep -c up /var/lib/corten/volumes/data/_data/unless)" = 3 ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || fail 'unless has not run three times'
        sleep 0.1
    done
    corten rm -f always unless stopped failure no || fail rm
    ;;
4)
    [ -z "$(corten boot)" ] || fail 'the boot starts what is removed'
    [ -z "$(corten ps -aq)" ] || fail 'there are containers'
    ;;
esac
