# Run by `cargo xtask test guest` in the guest: Debian's 6.1 kernel, cgroup v2, a PID 1 that reaps.
# The same tests as on the host, those that depend on kernel, cgroups and PID 1. A filter that matches
# nothing fails: the number of tests is checked.

# What passes on the host's kernel only: a store on a tmpfs, whose ids this kernel cannot map.

export TMPDIR=/var/lib/corten/tmp CORTEN_BIN=/bin/corten CORTEN_TEST_REQUIRE=root,userns,cgroup2,apparmor
# Not on /tmp: a tmpfs of this kernel has no user.* attributes, which overlay needs in a user namespace.
mkdir -p "$TMPDIR"
# For the profile that lsm:: loads.
mount -t securityfs securityfs /sys/kernel/security

least=93
corten-e2e --test-threads=2 \
    devices:: lsm:: run:: exec:: limits:: adoption:: unwatched:: restart:: security:: namespaces:: \
    pause:: health:: update:: stats:: top:: rename::renamed prune::what \
    mounts::a_bind mounts::a_volume mounts::read_only mounts::changes \
    lifecycle::a_life lifecycle::stop lifecycle::start lifecycle::run_detached \
    logs::the_shortest tty::a_terminal tty::detach place::from_inside \
    --skip much_output --skip among_our_descriptors \
    >/tmp/out 2>&1
code=$?
cat /tmp/out
passed=$(sed -n 's/^test result: .* \([0-9]*\) passed;.*/\1/p' /tmp/out)
if [ "${passed:-0}" -lt "$least" ] && [ "$code" -eq 0 ]; then
    echo "guest.sh: ${passed:-0} tests passed, expected at least $least"
    exit 1
fi
exit "$code"
