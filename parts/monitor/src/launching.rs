//! What the keeper needs of an init, and what it leaves to the engine.

use std::any::Any;
use std::os::fd::OwnedFd;

use corten_sys::SysError;
use corten_sys::process::{self, Exit, Identity, Pid};

use crate::order::Order;
use crate::words::Failure;

/// An init on its way to the payload.
pub trait Launching {
    fn pid(&self) -> Pid;
    fn pidfd(&self) -> &OwnedFd;
    /// Waits until the payload runs; a terminal's master comes with it. After a failure there is still an init to
    /// [`Launching::abandon`].
    fn wait_exec(&self) -> Result<Option<OwnedFd>, Failure>;
    /// Opens the namespaces whose end the kernel would otherwise wait for before it reports the exit.
    fn hold_namespaces(&self) -> Vec<OwnedFd> {
        Vec::new()
    }
    /// Kills it and reaps it, before it has become the payload.
    fn abandon(&self);
    /// For the engine, which knows what it made.
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
    /// How it ended; it has. `None` where nobody can know any more.
    fn exit(&self) -> Result<Option<Exit>, SysError> {
        process::wait(self.pidfd()).map(Some)
    }
}

/// An init that another keeper cloned: not our child.
pub(crate) struct Adopted {
    pub(crate) init: Identity,
    pub(crate) pidfd: OwnedFd,
}

impl Launching for Adopted {
    fn pid(&self) -> Pid {
        Pid::from_raw(self.init.pid).unwrap_or(Pid::INIT)
    }

    fn pidfd(&self) -> &OwnedFd {
        &self.pidfd
    }

    fn wait_exec(&self) -> Result<Option<OwnedFd>, Failure> {
        Ok(None)
    }

    fn abandon(&self) {}

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }

    fn exit(&self) -> Result<Option<Exit>, SysError> {
        Ok(process::exit_of_stranger(&self.pidfd, self.init))
    }
}

/// What the keeper leaves to the engine, which knows the runtime and the store.
pub trait Hooks {
    /// Clones an init such as most containers want, before anybody has asked; `None` where that makes no sense.
    fn clone_ahead(&self) -> Option<Box<dyn Launching>>;
    /// Takes that init, or clones another one, and lets it begin as the engine's first word asks for; opaque here.
    fn clone_early(
        &self,
        request: &[u8],
        ahead: Option<Box<dyn Launching>>,
    ) -> Result<Box<dyn Launching>, Failure>;
    /// Clones init, or goes on with the one cloned early. `stdio` is the payload's side, `fds` what came with the order.
    fn launch(
        &self,
        order: &Order,
        stdio: Vec<OwnedFd>,
        fds: Vec<OwnedFd>,
        early: Option<Box<dyn Launching>>,
    ) -> Result<Box<dyn Launching>, Failure>;
    /// Moves this process and its worker out of the cgroup of the command that started them, where that was put off
    /// because the command stays.
    fn leave_caller(&self, order: &Order, worker: Option<Pid>);
    /// Says whether the kernel killed a process of the container for memory.
    fn oom_killed(&self, order: &Order) -> bool;
    /// Frees what must be free before anybody hears that the container has ended: its name, if it goes.
    fn release(&self, order: &Order);
    /// Removes what may go later: cgroups, the id range, the run directory, trash. Collects its own errors.
    fn clean(&self, order: &Order);
    /// Replaces this process by one that starts the container again. Returns only on failure.
    fn start_over(&self, order: &Order) -> SysError;
}
