//! The options of the syslog driver.

use std::collections::BTreeMap;
use std::net::ToSocketAddrs;

use corten_monitor::{SyslogFormat, SyslogOrder, SyslogServer};
use corten_sys::fs;
use jiff::Timestamp;
use jiff::tz::TimeZone;

const DEFAULT_PORT: u16 = 514;

/// By number (RFC 5424, section 6.2.1); 12 to 15 have no name.
const FACILITIES: [(&str, u64); 20] = [
    ("kern", 0),
    ("user", 1),
    ("mail", 2),
    ("daemon", 3),
    ("auth", 4),
    ("syslog", 5),
    ("lpr", 6),
    ("news", 7),
    ("uucp", 8),
    ("cron", 9),
    ("authpriv", 10),
    ("ftp", 11),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

/// Reads the options, without a look at the network.
pub(super) fn parse(options: &BTreeMap<String, String>) -> Result<SyslogOrder, String> {
    let option = |key: &str| options.get(key).map_or("", String::as_str);
    Ok(SyslogOrder {
        server: server(option("syslog-address"))?,
        format: match option("syslog-format") {
            "" => SyslogFormat::Unix,
            "rfc3164" => SyslogFormat::Rfc3164,
            "rfc5424" => SyslogFormat::Rfc5424,
            "rfc5424micro" => SyslogFormat::Rfc5424Micro,
            _ => return Err("Invalid syslog format".to_owned()),
        },
        facility: facility(option("syslog-facility"))?,
        ..SyslogOrder::default()
    })
}

fn facility(text: &str) -> Result<u64, String> {
    if text.is_empty() {
        return facility("daemon");
    }
    let named = FACILITIES.iter().find(|(name, _)| *name == text).map(|(_, number)| *number);
    let number = named.or_else(|| text.parse().ok().filter(|number| *number <= 23));
    number.ok_or_else(|| "invalid syslog facility".to_owned())
}

fn server(address: &str) -> Result<SyslogServer, String> {
    if address.is_empty() {
        return Ok(SyslogServer::Local);
    }
    let (scheme, rest) =
        address.split_once("://").unwrap_or((address.split(':').next().unwrap_or_default(), ""));
    match scheme {
        "unix" | "unixgram" if !fs::exists(rest) => Err(format!("stat {rest}: no such file or directory")),
        "unix" => Ok(SyslogServer::Stream(rest.into())),
        "unixgram" => Ok(SyslogServer::Datagram(rest.into())),
        "tcp" | "udp" if rest.is_empty() => Err(format!("no host in address '{address}'")),
        "tcp" => Ok(SyslogServer::Tcp(with_port(rest)?)),
        "udp" => Ok(SyslogServer::Udp(with_port(rest)?)),
        "tcp+tls" => Err("syslog over TLS is not supported: use tcp:// to a relay on this host".to_owned()),
        _ => Err(format!("unsupported scheme: '{scheme}'")),
    }
}

fn with_port(host: &str) -> Result<String, String> {
    let host = host.split('/').next().unwrap_or_default();
    let has_port = match host.rsplit_once(':') {
        Some((before, port)) if before.ends_with(']') || !before.contains(':') => {
            port.parse::<u16>().map_err(|_| format!("address {host}: invalid port"))?;
            true
        }
        _ => false,
    };
    Ok(if has_port { host.to_owned() } else { format!("{host}:{DEFAULT_PORT}") })
}

/// Adds what the host knows: the server's address, the host's name, the time of day.
pub(super) fn resolve(order: SyslogOrder) -> Result<SyslogOrder, String> {
    let look_up = |host: &String| {
        let mut found = host.to_socket_addrs().map_err(|error| format!("lookup {host}: {error}"))?;
        found.next().map(|address| address.to_string()).ok_or_else(|| format!("lookup {host}: no such host"))
    };
    let server = match &order.server {
        SyslogServer::Tcp(host) => SyslogServer::Tcp(look_up(host)?),
        SyslogServer::Udp(host) => SyslogServer::Udp(look_up(host)?),
        other => other.clone(),
    };
    Ok(SyslogOrder {
        server,
        hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        utc_offset: TimeZone::system().to_offset(Timestamp::now()).seconds().into(),
        ..order
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers() {
        let tcp = |text: &str| Ok(SyslogServer::Tcp(text.to_owned()));
        assert_eq!(server(""), Ok(SyslogServer::Local));
        assert_eq!(server("tcp://logs.example"), tcp("logs.example:514"));
        assert_eq!(server("tcp://[::1]"), tcp("[::1]:514"));
        assert_eq!(server("tcp://[::1]:601"), tcp("[::1]:601"));
        assert_eq!(server("udp://10.0.0.1:5140"), Ok(SyslogServer::Udp("10.0.0.1:5140".to_owned())));
        assert_eq!(server("unixgram:///dev/null"), Ok(SyslogServer::Datagram("/dev/null".into())));
        let errors = [
            ("unix:///nosuch", "stat /nosuch: no such file or directory"),
            ("http://x", "unsupported scheme: 'http'"),
            ("x", "unsupported scheme: 'x'"),
            ("tcp://a:x", "address a:x: invalid port"),
        ];
        for (text, error) in errors {
            assert_eq!(server(text), Err(error.to_owned()));
        }
        assert!(server("tcp+tls://a").is_err());
    }

    #[test]
    fn facilities() {
        assert_eq!([facility(""), facility("local7"), facility("13")], [Ok(3), Ok(23), Ok(13)]);
        assert_eq!(facility("24"), Err("invalid syslog facility".to_owned()));
    }
}
