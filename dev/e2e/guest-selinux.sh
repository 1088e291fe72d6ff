# Run by `cargo xtask test guest` in a guest whose kernel was told security=selinux: the cases load their own policy.

export TMPDIR=/var/lib/corten/tmp CORTEN_BIN=/bin/corten CORTEN_TEST_REQUIRE=root,userns,cgroup2,selinux
mkdir -p "$TMPDIR"
mount -t selinuxfs selinuxfs /sys/fs/selinux || exit 1

# Before there is a policy: what cannot be had is refused with the reason, and nothing else is different.
corten run --rm hello-world >/tmp/out 2>&1 || { cat /tmp/out; exit 1; }
corten run --rm --security-opt label=type:x_t hello-world >/tmp/out 2>&1
if [ $? -ne 125 ] || ! grep -q 'label=type:x_t: SELinux has no policy loaded' /tmp/out; then
    cat /tmp/out
    exit 1
fi

# Loads the policy; the others then run under it.
corten-e2e --test-threads=1 selinux::label_options >/tmp/out 2>&1 || { cat /tmp/out; exit 1; }
least=7
corten-e2e --test-threads=2 selinux::every selinux::binds lsm::what lifecycle::a_life exec:: tty::a_terminal \
    logs::the_shortest mounts::a_volume --skip among_our_descriptors >/tmp/out 2>&1
code=$?
cat /tmp/out
passed=$(sed -n 's/^test result: .* \([0-9]*\) passed;.*/\1/p' /tmp/out)
if [ "${passed:-0}" -lt "$least" ] && [ "$code" -eq 0 ]; then
    echo "guest-selinux.sh: ${passed:-0} tests passed, expected at least $least"
    exit 1
fi
exit "$code"
