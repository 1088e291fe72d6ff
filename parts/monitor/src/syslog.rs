//! A log that goes to a syslog server: local, by UDP or by TCP; RFC 3164 and RFC 5424.
//!
//! A server that is not there, or too slow, costs lines and never the container: it is asked again in growing pauses.

use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::{Duration, Instant};

use corten_sys::clock;

use crate::lines::{Line, Lines};
use crate::log_file::{Stream, timestamp};
use crate::order::{SyslogFormat, SyslogOrder, SyslogServer};

/// How long a server that is busy, or has to be connected to, is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// The pauses between two attempts to reach a server.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Where a host's own server listens.
const LOCAL: [&str; 3] = ["/dev/log", "/var/run/syslog", "/var/run/log"];

#[derive(Debug)]
pub(crate) struct Syslog {
    order: SyslogOrder,
    lines: Lines,
    connection: Option<Connection>,
    /// Not before this is the server tried again.
    next_try: Option<Instant>,
    pause: Duration,
    lost: u64,
}

#[derive(Debug)]
enum Connection {
    Stream(UnixStream),
    Datagram(UnixDatagram),
    Tcp(TcpStream),
    Udp(UdpSocket),
}

impl Syslog {
    pub(crate) fn new(order: SyslogOrder) -> Self {
        Self { order, lines: Lines::default(), connection: None, next_try: None, pause: FIRST_PAUSE, lost: 0 }
    }

    pub(crate) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.split(stream, bytes, |line| self.tell(line));
        self.lines = lines;
    }

    pub(crate) fn finish(&mut self) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.finish(|line| self.tell(line));
        self.report_loss();
    }

    fn tell(&mut self, line: Line<'_>) {
        if self.next_try.is_some_and(|at| Instant::now() < at) {
            self.lost += 1;
            return;
        }
        let message = render(&self.order, line, clock::wall_nanos(), std::process::id());
        // A server that was started anew shows at the first word: the second goes to the new one.
        let mut sent = self.send(&message);
        if sent.is_err() && self.next_try.is_none() {
            sent = self.send(&message);
        }
        match sent {
            Ok(()) => {
                (self.next_try, self.pause) = (None, FIRST_PAUSE);
                self.report_loss();
            }
            Err(error) => {
                if self.lost == 0 {
                    log::warn!("output is lost: syslog server {}: {error}", name(&self.order.server));
                }
                self.lost += 1;
                self.next_try = Some(Instant::now() + self.pause);
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    fn report_loss(&mut self) {
        if self.lost > 0 {
            log::warn!(
                "{} lines of output were not taken by the syslog server {}",
                self.lost,
                name(&self.order.server)
            );
            self.lost = 0;
        }
    }

    fn send(&mut self, message: &[u8]) -> std::io::Result<()> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(&self.order.server, self.order.waits)?,
        };
        match &mut connection {
            Connection::Stream(socket) => socket.write_all(message)?,
            Connection::Datagram(socket) => drop(socket.send(message)?),
            Connection::Tcp(socket) => socket.write_all(message)?,
            Connection::Udp(socket) => drop(socket.send(message)?),
        }
        self.connection = Some(connection);
        Ok(())
    }
}

fn name(server: &SyslogServer) -> String {
    match server {
        SyslogServer::Local => LOCAL[0].to_owned(),
        SyslogServer::Stream(path) | SyslogServer::Datagram(path) => path.display().to_string(),
        SyslogServer::Tcp(address) => format!("tcp://{address}"),
        SyslogServer::Udp(address) => format!("udp://{address}"),
    }
}

fn connect(server: &SyslogServer, waits: bool) -> std::io::Result<Connection> {
    let invalid = || std::io::Error::from(std::io::ErrorKind::InvalidInput);
    let address = |text: &String| text.parse::<SocketAddr>().map_err(|_| invalid());
    let patience = waits.then_some(PATIENCE);
    let datagram = |path: &std::path::Path| {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        socket.set_nonblocking(!waits)?;
        socket.set_write_timeout(patience)?;
        Ok(Connection::Datagram(socket))
    };
    let stream = |path: &std::path::Path| {
        let socket = UnixStream::connect(path)?;
        socket.set_nonblocking(!waits)?;
        socket.set_write_timeout(patience)?;
        Ok(Connection::Stream(socket))
    };
    match server {
        SyslogServer::Local => {
            let mut tried =
                LOCAL.iter().map(std::path::Path::new).map(|path| datagram(path).or_else(|_| stream(path)));
            let first = tried.next().unwrap_or_else(|| Err(invalid()));
            first.or_else(|error| tried.find_map(Result::ok).ok_or(error))
        }
        SyslogServer::Stream(path) => stream(path),
        SyslogServer::Datagram(path) => datagram(path),
        SyslogServer::Tcp(text) => {
            let socket = TcpStream::connect_timeout(&address(text)?, PATIENCE)?;
            socket.set_nonblocking(!waits)?;
            socket.set_write_timeout(patience)?;
            Ok(Connection::Tcp(socket))
        }
        SyslogServer::Udp(text) => {
            let address = address(text)?;
            let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(any)?;
            socket.connect(address)?;
            socket.set_nonblocking(!waits)?;
            Ok(Connection::Udp(socket))
        }
    }
}

const INFO: u64 = 6;
const ERROR: u64 = 3;

fn render(order: &SyslogOrder, line: Line<'_>, now: i64, pid: u32) -> Vec<u8> {
    let severity = if line.stream == Stream::Stderr { ERROR } else { INFO };
    let priority = order.facility * 8 + severity;
    let SyslogOrder { tag, hostname, utc_offset, .. } = order;
    let local = timestamp(now + utc_offset * 1_000_000_000);
    let head = match order.format {
        SyslogFormat::Unix => format!("<{priority}>{} {tag}[{pid}]: ", stamp(&local)),
        SyslogFormat::Rfc3164 => format!("<{priority}>{} {hostname} {tag}[{pid}]: ", stamp(&local)),
        SyslogFormat::Rfc5424 | SyslogFormat::Rfc5424Micro => {
            let digits = if order.format == SyslogFormat::Rfc5424Micro { 26 } else { 19 };
            let time = local.get(..digits).unwrap_or_default();
            format!("<{priority}>1 {time}{} {hostname} {tag} {pid} {tag} - ", zone(*utc_offset))
        }
    };
    [head.as_bytes(), line.text, b"\n"].concat()
}

/// `Jan _2 15:04:05`, of a time in RFC 3339.
fn stamp(time: &str) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let number = |range: std::ops::Range<usize>| {
        time.get(range).and_then(|text| text.parse::<usize>().ok()).unwrap_or(1)
    };
    let month = MONTHS.get(number(5..7).saturating_sub(1)).unwrap_or(&"Jan");
    format!("{month} {:2} {}", number(8..10), time.get(11..19).unwrap_or_default())
}

fn zone(offset: i64) -> String {
    let minutes = offset.abs() / 60;
    match offset {
        0 => "Z".to_owned(),
        _ => format!("{}{:02}:{:02}", if offset < 0 { '-' } else { '+' }, minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        let message = |format, utc_offset| {
            let order = SyslogOrder {
                format,
                facility: 3,
                tag: "web".to_owned(),
                hostname: "host".to_owned(),
                utc_offset,
                ..SyslogOrder::default()
            };
            let line = Line { stream: Stream::Stdout, text: b"hi", is_part: false };
            String::from_utf8(render(&order, line, 951_782_400_000_001_999, 7)).unwrap()
        };
        assert_eq!(message(SyslogFormat::Unix, 0), "<30>Feb 29 00:00:00 web[7]: hi\n");
        assert_eq!(message(SyslogFormat::Rfc3164, 86_400), "<30>Mar  1 00:00:00 host web[7]: hi\n");
        assert_eq!(
            message(SyslogFormat::Rfc5424, -5400),
            "<30>1 2000-02-28T22:30:00-01:30 host web 7 web - hi\n"
        );
        assert_eq!(
            message(SyslogFormat::Rfc5424Micro, 0),
            "<30>1 2000-02-29T00:00:00.000001Z host web 7 web - hi\n"
        );
    }
}
