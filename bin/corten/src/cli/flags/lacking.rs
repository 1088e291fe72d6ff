//! docker's flags of run and create that this version does not have: refused by name, with the reason. Not in `--help`.

use super::args::ContainerFlags;
use super::table::Flag;

pub(crate) const LACKING: &[Flag<ContainerFlags>] = &[
    Flag::value("publish", Some('p'), "list", "", no_network),
    Flag::switch("publish-all", Some('P'), "", no_network),
    Flag::alias("dns", "list", no_network),
    Flag::alias("dns-option", "list", no_network),
    Flag::alias("dns-opt", "list", no_network),
    Flag::alias("dns-search", "list", no_network),
    Flag::alias("ip", "string", no_network),
    Flag::alias("ip6", "string", no_network),
    Flag::alias("link", "list", no_network),
    Flag::alias("link-local-ip", "list", no_network),
    Flag::alias("mac-address", "string", no_network),
    Flag::alias("network-alias", "list", no_network),
    Flag::alias("net-alias", "list", no_network),
    // What it asks for is so already.
    Flag::switch("disable-content-trust", None, "", |_, _| Ok(())),
    Flag::alias("gpus", "list", |_, _| {
        Err("GPUs are not supported yet; pass the device nodes with --device".to_owned())
    }),
    Flag::alias("runtime", "string", |_, _| Err("corten is the runtime itself and runs no other".to_owned())),
    Flag::alias("storage-opt", "list", |_, _| {
        Err("storage options are not supported yet; leave the flag out".to_owned())
    }),
    Flag::alias("volume-driver", "string", |_, _| {
        Err("volume plugins are not supported; leave the flag out for local volumes".to_owned())
    }),
    Flag::alias("kernel-memory", "bytes", |_, _| {
        Err("kernels since 6.1 have no limit of kernel memory; use --memory".to_owned())
    }),
    Flag::alias("isolation", "string", |_, text| match text {
        "" | "default" => Ok(()),
        _ => Err("containers of Linux have no other isolation than \"default\"".to_owned()),
    }),
    Flag::alias("cpu-count", "int", only_windows),
    Flag::alias("cpu-percent", "int", only_windows),
    Flag::alias("io-maxbandwidth", "bytes", only_windows),
    Flag::alias("io-maxiops", "uint", only_windows),
    Flag::switch("use-api-socket", None, "", |_, _| {
        Err("there is no API socket yet; leave the flag out".to_owned())
    }),
];

fn only_windows(_: &mut ContainerFlags, _: &str) -> Result<(), String> {
    Err("it is for containers of Windows; --cpus and --device-read-bps are those of Linux".to_owned())
}

fn no_network(_: &mut ContainerFlags, _: &str) -> Result<(), String> {
    Err("container networks are not supported yet; use --network host".to_owned())
}
