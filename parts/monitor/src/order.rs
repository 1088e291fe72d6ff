//! What the engine tells a keeper to run.

use std::path::PathBuf;
use std::time::Duration;

use crate::events::Subject;
use crate::health::HealthRules;
use crate::state::RunState;
use crate::wire::{Reader, Writer};

/// Everything a keeper knows of its container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    pub id: String,
    /// The container's directory below the run root: state, sockets, FIFOs.
    pub run_dir: PathBuf,
    /// Where the exit record goes.
    pub exits: PathBuf,
    pub terminal: bool,
    /// Keep the payload's stdin open for attached clients.
    pub stdin: bool,
    /// Close stdin when the first client that gave input leaves.
    pub stdin_once: bool,
    /// The host user and group that the FIFOs belong to: the container's root.
    pub owner: (u32, u32),
    /// The SELinux label of the FIFOs; empty for none.
    pub label: String,
    pub log: Option<LogSink>,
    /// How its events tell of it.
    pub subject: Subject,
    pub probe: Option<ProbeOrder>,
    pub restart: RestartPolicy,
    /// Restarts by policy so far.
    pub restarts: u64,
    /// The pause before this start, in milliseconds: what the next one doubles.
    pub backoff_ms: u64,
    /// Which start of the container this is.
    pub generation: u64,
    /// Nothing of this container survives a reboot: its records need no sync.
    pub volatile: bool,
    /// The last descriptor with the order is the connection of a client to attach before the start.
    pub client: bool,
    /// The very last descriptor is the container's lock, held until the runtime record is written.
    pub locked: bool,
    /// Take over a container whose keeper died instead of starting one.
    pub adopt: Option<RunState>,
    /// For [`crate::Hooks`]: opaque here.
    pub launch: Vec<u8>,
    pub init: Vec<u8>,
    pub clean: Vec<u8>,
}

/// How the worker has the container's health probed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProbeOrder {
    /// What this program is executed with for one probe.
    pub arguments: Vec<String>,
    pub rules: HealthRules,
}

/// Where the log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSink {
    Files(LogOrder),
    Journald(JournaldOrder),
    Syslog(SyslogOrder),
}

/// What a line of a file looks like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Json,
    Local,
}

/// Where and how the log is kept in files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogOrder {
    pub format: LogFormat,
    /// Members of a JSON object, for every line of that format.
    pub attributes: String,
    pub path: PathBuf,
    /// Bytes after which a file is rotated; 0 is never.
    pub max_size: u64,
    /// Files kept, the current one included.
    pub max_files: u64,
}

/// A log that goes to the journal of systemd.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournaldOrder {
    /// Fields of every entry, in the journal's own encoding.
    pub fields: Vec<u8>,
    /// A journal that is busy is waited for, for a moment.
    pub waits: bool,
}

/// A log that goes to a syslog server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyslogOrder {
    pub server: SyslogServer,
    pub format: SyslogFormat,
    /// The facility's number.
    pub facility: u64,
    pub tag: String,
    pub hostname: String,
    /// Seconds that the local time is ahead of UTC.
    pub utc_offset: i64,
    /// A server that is busy is waited for, for a moment.
    pub waits: bool,
}

/// How a syslog server is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SyslogServer {
    /// The host's own, at its usual places.
    #[default]
    Local,
    Stream(PathBuf),
    Datagram(PathBuf),
    /// `ADDRESS:PORT`, of numbers only.
    Tcp(String),
    Udp(String),
}

/// What a syslog message looks like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SyslogFormat {
    /// As a local server takes it: without a host name.
    #[default]
    Unix,
    Rfc3164,
    Rfc5424,
    /// As that, with microseconds.
    Rfc5424Micro,
}

/// docker's restart policies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RestartPolicy {
    #[default]
    No,
    /// After a non-zero exit, at most so many times; 0 is without limit.
    OnFailure(u64),
    Always,
    /// As always, but a container stopped by the user stays so over a reboot.
    UnlessStopped,
}

impl RestartPolicy {
    /// As text, for [`crate::state::POLICY`].
    pub fn render(self) -> String {
        match self {
            Self::No => "no".to_owned(),
            Self::OnFailure(limit) => format!("on-failure {limit}"),
            Self::Always => "always".to_owned(),
            Self::UnlessStopped => "unless-stopped".to_owned(),
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "no" => Some(Self::No),
            "always" => Some(Self::Always),
            "unless-stopped" => Some(Self::UnlessStopped),
            _ => text.strip_prefix("on-failure ")?.parse().ok().map(Self::OnFailure),
        }
    }
}

impl Order {
    /// Encodes for the socket.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_with([&self.launch, &self.init, &self.clean])
    }

    /// Encodes what a worker has to know.
    pub(crate) fn for_worker(&self) -> Vec<u8> {
        self.encode_with([&[], &[], &[]])
    }

    fn encode_with(&self, opaque: [&[u8]; 3]) -> Vec<u8> {
        let mut writer = Writer::default();
        let path = |writer: &mut Writer, path: &PathBuf| writer.bytes(path.as_os_str().as_encoded_bytes());
        writer.bytes(self.id.as_bytes());
        path(&mut writer, &self.run_dir);
        path(&mut writer, &self.exits);
        for flag in [self.terminal, self.stdin, self.stdin_once, self.volatile, self.client, self.locked] {
            writer.flag(flag);
        }
        writer.number(self.owner.0.into());
        writer.number(self.owner.1.into());
        writer.bytes(self.label.as_bytes());
        writer.flag(self.log.is_some());
        if let Some(log) = &self.log {
            log.encode(&mut writer);
        }
        path(&mut writer, &self.subject.journal);
        writer.bytes(self.subject.name.as_bytes());
        writer.bytes(self.subject.attributes.as_bytes());
        writer.flag(self.probe.is_some());
        if let Some(probe) = &self.probe {
            probe.encode(&mut writer);
        }
        let (policy, limit) = match self.restart {
            RestartPolicy::No => (0, 0),
            RestartPolicy::OnFailure(limit) => (1, limit),
            RestartPolicy::Always => (2, 0),
            RestartPolicy::UnlessStopped => (3, 0),
        };
        for number in [policy, limit, self.restarts, self.backoff_ms, self.generation] {
            writer.number(number);
        }
        writer.bytes(self.adopt.as_ref().map(RunState::render).unwrap_or_default().as_bytes());
        for blob in opaque {
            writer.bytes(blob);
        }
        writer.into_bytes()
    }

    /// Decodes what [`Order::encode`] made.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let id = reader.text()?;
        let path = |reader: &mut Reader<'_>| reader.text().map(PathBuf::from);
        let (run_dir, exits) = (path(&mut reader)?, path(&mut reader)?);
        let (terminal, stdin, stdin_once) = (reader.flag()?, reader.flag()?, reader.flag()?);
        let (volatile, client, locked) = (reader.flag()?, reader.flag()?, reader.flag()?);
        let owner = (reader.number()?.try_into().ok()?, reader.number()?.try_into().ok()?);
        let label = reader.text()?;
        let log = if reader.flag()? { Some(LogSink::decode(&mut reader)?) } else { None };
        let subject =
            Subject { journal: path(&mut reader)?, name: reader.text()?, attributes: reader.text()? };
        let probe = if reader.flag()? { Some(ProbeOrder::decode(&mut reader)?) } else { None };
        let restart = match (reader.number()?, reader.number()?) {
            (1, limit) => RestartPolicy::OnFailure(limit),
            (2, _) => RestartPolicy::Always,
            (3, _) => RestartPolicy::UnlessStopped,
            _ => RestartPolicy::No,
        };
        let (restarts, backoff_ms, generation) = (reader.number()?, reader.number()?, reader.number()?);
        let adopt = RunState::parse(&reader.text()?);
        let mut blob = || reader.bytes().map(<[u8]>::to_vec);
        let (launch, init, clean) = (blob()?, blob()?, blob()?);
        Some(Self {
            id,
            run_dir,
            exits,
            terminal,
            stdin,
            stdin_once,
            owner,
            label,
            log,
            subject,
            probe,
            restart,
            restarts,
            backoff_ms,
            generation,
            volatile,
            client,
            locked,
            adopt,
            launch,
            init,
            clean,
        })
    }
}

impl LogSink {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Files(order) => {
                writer.number(u64::from(order.format == LogFormat::Local));
                writer.bytes(order.attributes.as_bytes());
                writer.bytes(order.path.as_os_str().as_encoded_bytes());
                writer.number(order.max_size);
                writer.number(order.max_files);
            }
            Self::Journald(order) => {
                writer.number(2);
                writer.bytes(&order.fields);
                writer.flag(order.waits);
            }
            Self::Syslog(order) => {
                writer.number(3);
                order.encode(writer);
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        Some(match reader.number()? {
            kind @ (0 | 1) => Self::Files(LogOrder {
                format: if kind == 1 { LogFormat::Local } else { LogFormat::Json },
                attributes: reader.text()?,
                path: reader.text()?.into(),
                max_size: reader.number()?,
                max_files: reader.number()?,
            }),
            2 => Self::Journald(JournaldOrder { fields: reader.bytes()?.to_vec(), waits: reader.flag()? }),
            _ => Self::Syslog(SyslogOrder::decode(reader)?),
        })
    }
}

impl SyslogOrder {
    fn encode(&self, writer: &mut Writer) {
        let (kind, place) = match &self.server {
            SyslogServer::Local => (0, ""),
            SyslogServer::Stream(path) => (1, path.to_str().unwrap_or_default()),
            SyslogServer::Datagram(path) => (2, path.to_str().unwrap_or_default()),
            SyslogServer::Tcp(address) => (3, address.as_str()),
            SyslogServer::Udp(address) => (4, address.as_str()),
        };
        writer.number(kind);
        writer.bytes(place.as_bytes());
        writer.number(match self.format {
            SyslogFormat::Unix => 0,
            SyslogFormat::Rfc3164 => 1,
            SyslogFormat::Rfc5424 => 2,
            SyslogFormat::Rfc5424Micro => 3,
        });
        writer.number(self.facility);
        writer.bytes(self.tag.as_bytes());
        writer.bytes(self.hostname.as_bytes());
        writer.number(self.utc_offset.cast_unsigned());
        writer.flag(self.waits);
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let (kind, place) = (reader.number()?, reader.text()?);
        Some(Self {
            server: match kind {
                0 => SyslogServer::Local,
                1 => SyslogServer::Stream(place.into()),
                2 => SyslogServer::Datagram(place.into()),
                3 => SyslogServer::Tcp(place),
                _ => SyslogServer::Udp(place),
            },
            format: match reader.number()? {
                0 => SyslogFormat::Unix,
                1 => SyslogFormat::Rfc3164,
                2 => SyslogFormat::Rfc5424,
                _ => SyslogFormat::Rfc5424Micro,
            },
            facility: reader.number()?,
            tag: reader.text()?,
            hostname: reader.text()?,
            utc_offset: reader.number()?.cast_signed(),
            waits: reader.flag()?,
        })
    }
}

impl ProbeOrder {
    fn encode(&self, writer: &mut Writer) {
        writer.number(self.arguments.len() as u64);
        self.arguments.iter().for_each(|argument| writer.bytes(argument.as_bytes()));
        let rules = &self.rules;
        for duration in [rules.interval, rules.start_interval, rules.start_period] {
            writer.number(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
        }
        writer.number(rules.retries);
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let count = reader.number()?;
        let arguments = (0..count).map(|_| reader.text()).collect::<Option<_>>()?;
        let mut duration = || reader.number().map(Duration::from_nanos);
        let (interval, start_interval, start_period) = (duration()?, duration()?, duration()?);
        let retries = reader.number()?;
        Some(Self { arguments, rules: HealthRules { interval, start_interval, start_period, retries } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_survives_the_socket() {
        let order = Order {
            id: "abc".to_owned(),
            run_dir: PathBuf::from("/run/x"),
            exits: PathBuf::from("/var/x/exits"),
            terminal: true,
            stdin_once: true,
            owner: (268_435_456, 7),
            label: "a:b:c:s0".to_owned(),
            log: Some(LogSink::Files(LogOrder {
                format: LogFormat::Local,
                attributes: "\"a\":\"b\"".to_owned(),
                path: PathBuf::from("/l"),
                max_size: 1 << 24,
                max_files: 4,
            })),
            subject: Subject {
                journal: PathBuf::from("/e"),
                name: "n".to_owned(),
                attributes: "\"image\":\"i\"".to_owned(),
            },
            probe: Some(ProbeOrder {
                arguments: vec!["probe".to_owned(), "/r".to_owned()],
                rules: HealthRules {
                    interval: Duration::from_millis(7),
                    retries: 3,
                    ..HealthRules::default()
                },
            }),
            restart: RestartPolicy::OnFailure(5),
            restarts: 2,
            backoff_ms: 400,
            generation: 3,
            launch: vec![1, 2],
            init: vec![0; 3000],
            ..Order::default()
        };
        let bytes = order.encode();
        assert_eq!(Order::decode(&bytes).as_ref(), Some(&order));
        assert_eq!(Order::decode(bytes.get(..40).unwrap()), None);
        let syslog = SyslogOrder {
            server: SyslogServer::Tcp("10.0.0.1:514".to_owned()),
            format: SyslogFormat::Rfc5424Micro,
            facility: 3,
            tag: "t".to_owned(),
            utc_offset: -3600,
            ..SyslogOrder::default()
        };
        let journald = JournaldOrder { fields: b"A=b\n".to_vec(), waits: true };
        for log in [LogSink::Syslog(syslog), LogSink::Journald(journald)] {
            let order = Order { log: Some(log), ..order.clone() };
            assert_eq!(Order::decode(&order.encode()), Some(order));
        }
        let opaque = Order { launch: Vec::new(), init: Vec::new(), clean: Vec::new(), ..order.clone() };
        assert_eq!(Order::decode(&order.for_worker()), Some(opaque));
    }
}
