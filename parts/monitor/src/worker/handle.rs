//! The keeper's end of a worker: its clone, its order, the words between the two.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use corten_sys::process::{self, Cloned, Pid};
use corten_sys::{SysError, clock, socket, title};

use super::{Channels, Connections, DRAINED, FINISH, INPUT_ENDED, Worker};
use crate::journal;
use crate::order::Order;

/// The keeper's end of a worker that serves.
#[derive(Debug)]
pub(crate) struct WorkerHandle {
    pid: Pid,
    pidfd: OwnedFd,
    control: UnixStream,
}

/// A worker that waits for its order: cloned while the keeper's heap is clean and the keeper has nothing else to do.
///
/// Ends, and is reaped, when it is dropped without one.
#[derive(Debug)]
pub(crate) struct Idle(Option<WorkerHandle>);

impl Idle {
    /// Clones it from the keeper.
    pub(crate) fn spawn() -> Result<Self, SysError> {
        let (ours, theirs) = socket::pair()?;
        match process::clone(0, None)? {
            Cloned::Parent { pid, pidfd } => Ok(Self(Some(WorkerHandle { pid, pidfd, control: ours }))),
            Cloned::Child => {
                drop(ours);
                process::exit_now(i32::from(live(theirs).is_err()))
            }
        }
    }

    /// Says whether it was killed while it waited.
    pub(crate) fn has_ended(&self) -> bool {
        let ended =
            |handle: &WorkerHandle| clock::wait_readable(&handle.pidfd, Some(Duration::ZERO)).unwrap_or(true);
        self.0.as_ref().is_none_or(ended)
    }

    /// Sends it its order and what it serves. `client` is one that the starting command has attached already; `init`
    /// is for a worker that outlives its keeper.
    pub(crate) fn begin(
        mut self,
        order: &Order,
        channels: &Channels,
        client: Option<UnixStream>,
        init: &OwnedFd,
    ) -> Result<WorkerHandle, SysError> {
        let gone = || SysError::new("start worker", &order.id, corten_sys::Errno::CHILD);
        let stream = channels.stream();
        let mut bytes = vec![u8::from(stream.is_some()), u8::from(client.is_some())];
        bytes.extend(order.for_worker());
        let listener = channels.listener()?;
        let fds: Vec<_> = [listener, init.as_fd()]
            .into_iter()
            .chain(stream)
            .chain(client.iter().map(AsFd::as_fd))
            .collect();
        socket::send(&self.0.as_ref().ok_or_else(gone)?.control, &bytes, &fds)?;
        self.0.take().ok_or_else(gone)
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            let ended = rustix::net::shutdown(&handle.control, rustix::net::Shutdown::Both)
                .map_err(|errno| SysError::new("shutdown", "worker", errno))
                .and_then(|()| process::wait(&handle.pidfd));
            if let Err(error) = ended {
                log::warn!("leaving an idle worker: {error}");
            }
        }
    }
}

/// The worker's life, from its clone on.
fn live(control: UnixStream) -> Result<(), SysError> {
    process::close_all_but(&[control.as_fd()])?;
    let Some(message) = socket::receive(&control)? else { return Ok(()) };
    let cut_short = || SysError::new("start worker", "", corten_sys::Errno::PROTO);
    let (&[has_stream, has_client], order) = message.bytes.split_first_chunk().ok_or_else(cut_short)?;
    let order = Order::decode(order).ok_or_else(cut_short)?;
    let mut fds = message.fds.into_iter();
    let listener = UnixListener::from(fds.next().ok_or_else(cut_short)?);
    let init = fds.next().ok_or_else(cut_short)?;
    let stream = if has_stream == 1 { fds.next() } else { None };
    let client = if has_client == 1 { fds.next().map(UnixStream::from) } else { None };
    title::name(&format!("corten-{}", order.id));
    journal::begin(&order.run_dir, &order.id);
    journal::become_worker();
    let connections = Connections { stream, listener, control, client, init };
    let served = Worker::new(&order, connections).and_then(Worker::serve);
    served.inspect_err(|error| log::warn!("the worker gives up: {error}"))
}

impl WorkerHandle {
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    pub(crate) fn pidfd(&self) -> &OwnedFd {
        &self.pidfd
    }

    pub(crate) fn control(&self) -> &UnixStream {
        &self.control
    }

    /// Takes a waiting word from the worker: true where the input has ended.
    pub(crate) fn input_ended(&self) -> bool {
        let mut word = [0_u8; 1];
        rustix::io::read(&self.control, &mut word) == Ok(1) && word[0] == INPUT_ENDED
    }

    /// Tells the worker that the payload has ended; false where it is gone.
    pub(crate) fn finish(&self) -> bool {
        rustix::io::write(&self.control, &[FINISH]).is_ok()
    }

    /// Waits until the log is complete; false where the worker died first.
    pub(crate) fn await_drained(&self) -> bool {
        let mut word = [0_u8; 1];
        // A worker that died instead of answering closes the socket.
        while rustix::io::retry_on_intr(|| rustix::io::read(&self.control, &mut word)) == Ok(1) {
            if word[0] == DRAINED {
                return true;
            }
        }
        false
    }
}
