//! System calls by number, made to see what becomes of them: what the filters say, and what the kernel answers.
//!
//! For tests of a sandbox, not for its payload. x86_64 only: the one machine with three interfaces to compare.

use std::arch::asm;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use crate::clock;
use crate::error::{Context, SysError};
use crate::process::{self, Cloned, Exit};
use crate::seccomp;

/// How a program enters the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interface {
    X86_64,
    /// `int 0x80` from 64-bit code.
    I386,
    /// As x86_64, with the bit 0x4000_0000 in the number.
    X32,
}

/// A system call. Of i386 the lower halves of the arguments count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    pub interface: Interface,
    /// Without the bit that marks x32.
    pub number: u32,
    /// The sixth argument is not the caller's: it carries the mark of a call that is only asked about, or all ones.
    pub arguments: [u64; 5],
}

const X32_BIT: u32 = 0x4000_0000;

/// What the sixth argument of a call is that must not be carried out.
const MARK: u64 = 0x636f_7274;

/// What a marked call returns that every filter let pass; above all errnos of Linux, below the 4095 of a pointer.
const PASSED: i32 = 4017;

/// What the filters above a process decide about a call; a call they would hand to a tracer counts as passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    /// The filter's errno; zero is a call that seems to work.
    Refused(i32),
}

/// Asks in the thread that installed it.
#[derive(Debug)]
pub struct Asker {
    /// The filter is the thread's: neither sent nor shared.
    _thread: PhantomData<*const ()>,
}

/// Where another thread must answer for an [`Asker`]; while nobody does, asking blocks.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
}

impl Asker {
    /// Puts a filter on the calling thread that holds marked calls back, below all filters that are there already.
    ///
    /// Its verdict is weaker than any errno, trap or kill (seccomp(2)), so it only sees what the others let pass. For
    /// good, and inherited; sets no_new_privs.
    pub fn install() -> Result<(Self, Listener), SysError> {
        rustix::thread::set_no_new_privs(true).on("prctl", "PR_SET_NO_NEW_PRIVS")?;
        let fd = seccomp::set_mode_filter_with_listener(&holding_back())?;
        Ok((Self { _thread: PhantomData }, Listener { fd }))
    }

    /// Makes the call as far as the filters; it is not carried out. A filter that kills kills.
    ///
    /// The kernel asks no filter about uretprobe and uprobe (Linux 6.11): their verdict is what they answer, SIGILL for
    /// the first.
    pub fn ask(&self, call: &Call) -> Verdict {
        // SAFETY: the call is marked, and `self` is the proof that this thread has the filter for marked calls: the
        // kernel does nothing of what the number and arguments say. The two calls it asks no filter about work only in
        // code that the kernel itself has mapped, which this is not.
        match unsafe { make(call, MARK) } {
            result if result == i64::from(-PASSED) => Verdict::Passed,
            result => Verdict::Refused(i32::try_from(-result).unwrap_or(i32::MAX)),
        }
    }
}

impl Listener {
    /// Answers until no thread with the filter is left, or the listener fails; blocks.
    pub fn serve(&self) -> Result<(), SysError> {
        loop {
            let mut notification = Notification::default();
            self.control(RECEIVE, &raw mut notification)?;
            let mut response = Response { id: notification.id, error: -PASSED, ..Response::default() };
            self.control(SEND, &raw mut response)?;
        }
    }

    fn control<T>(&self, request: libc::c_int, argument: *mut T) -> Result<(), SysError> {
        // SAFETY: `argument` is a live struct of the size that is part of the request's number.
        let rc = unsafe { libc::ioctl(self.fd.as_raw_fd(), request, argument) };
        if rc == 0 { Ok(()) } else { Err(SysError::new("ioctl", "seccomp listener", process::last_errno())) }
    }
}

/// SECCOMP_IOCTL_NOTIF_RECV and SECCOMP_IOCTL_NOTIF_SEND (linux/seccomp.h).
const RECEIVE: libc::c_int = 0xc050_2100_u32.cast_signed();
const SEND: libc::c_int = 0xc018_2101_u32.cast_signed();

/// `struct seccomp_notif`; the kernel wants it zeroed.
#[repr(C)]
#[derive(Default)]
struct Notification {
    id: u64,
    pid: u32,
    flags: u32,
    data: [u64; 8],
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
#[derive(Default)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// A filter that hands calls with [`MARK`] as sixth argument to the listener and lets all others pass.
fn holding_back() -> Vec<u8> {
    const LOAD: u16 = 0x20;
    const JUMP_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const USER_NOTIF: u64 = 0x7fc0_0000;
    const ALLOW: u64 = 0x7fff_0000;
    // The low half of the last argument in struct seccomp_data.
    const SIXTH: u64 = 16 + 5 * 8;
    let instruction = |code: u16, no: u8, operand: u64| {
        let operand = u32::try_from(operand).unwrap_or(0).to_le_bytes();
        let [code0, code1] = code.to_le_bytes();
        [code0, code1, 0, no, operand[0], operand[1], operand[2], operand[3]]
    };
    [
        instruction(LOAD, 0, SIXTH),
        instruction(JUMP_EQUAL, 1, MARK),
        instruction(RETURN, 0, USER_NOTIF),
        instruction(RETURN, 0, ALLOW),
    ]
    .concat()
}

/// What a call came to that was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It returned, with whatever.
    Returned,
    Errno(i32),
    /// It ended the process.
    Ended(Exit),
    /// It had not returned in time.
    Waits,
    /// Not made: it would run on a stack that is not its own.
    NotMade,
}

/// vfork, clone with CLONE_VM and the returns from a signal.
fn takes_the_stack(call: &Call) -> bool {
    const CLONE_VM: u64 = 0x100;
    let (vfork, clone, returns): (u32, u32, &[u32]) = match call.interface {
        Interface::X86_64 => (58, 56, &[15]),
        Interface::I386 => (190, 120, &[119, 173]),
        Interface::X32 => (58, 56, &[15, 513]),
    };
    call.number == vfork
        || returns.contains(&call.number)
        || call.number == clone && call.arguments[0] & CLONE_VM != 0
}

/// Makes the call in a child, with all ones as sixth argument; the child is gone afterwards.
///
/// The caller has one thread. What the call does to anything but the child is the caller's to know.
pub fn carry_out(call: &Call, patience: Duration) -> Result<Outcome, SysError> {
    if takes_the_stack(call) {
        return Ok(Outcome::NotMade);
    }
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).on("pipe2", "")?;
    let pidfd = match process::clone(0, None)? {
        Cloned::Child => {
            // SAFETY: the child is a copy that ends at once: whatever the call does to its memory or descriptors, it
            // owns nothing that anybody else relies on. Calls that would leave this frame have been turned away.
            let result = unsafe { make(call, u64::MAX) };
            rustix::io::write(&writer, &result.to_ne_bytes()).ok();
            process::exit_now(0)
        }
        Cloned::Parent { pidfd, .. } => pidfd,
    };
    drop(writer);
    let answered = clock::wait_readable(&reader, Some(patience))?;
    let mut bytes = [0; 8];
    let read = if answered { rustix::io::read(&reader, &mut bytes).on("read", "pipe")? } else { 0 };
    if !answered {
        process::send_signal(pidfd.as_fd(), libc::SIGKILL)?;
        process::wait(&pidfd)?;
        return Ok(Outcome::Waits);
    }
    let exit = process::wait(&pidfd)?;
    if read != bytes.len() {
        return Ok(Outcome::Ended(exit));
    }
    match i64::from_ne_bytes(bytes) {
        result @ -4095..=-1 => Ok(Outcome::Errno(i32::try_from(-result).unwrap_or(i32::MAX))),
        _ => Ok(Outcome::Returned),
    }
}

/// Makes the call with this sixth argument and returns what the kernel does.
///
/// # Safety
///
/// That of the call itself: it does what its number and arguments say.
unsafe fn make(call: &Call, sixth: u64) -> i64 {
    let [first, second, third, fourth, fifth] = call.arguments;
    let result: i64;
    match call.interface {
        Interface::X86_64 | Interface::X32 => {
            let bit = if call.interface == Interface::X32 { X32_BIT } else { 0 };
            // r9 is cleared: a later call of fewer arguments must not look marked.
            // SAFETY: the registers of the interface, all that the kernel changes declared; the rest is the caller's.
            unsafe {
                asm!(
                    "syscall",
                    "xor r9d, r9d",
                    inlateout("rax") u64::from(call.number | bit) => result,
                    in("rdi") first,
                    in("rsi") second,
                    in("rdx") third,
                    in("r10") fourth,
                    in("r8") fifth,
                    inlateout("r9") sixth => _,
                    lateout("rcx") _,
                    lateout("r11") _,
                );
            }
        }
        Interface::I386 => {
            let wide: i64;
            // rbx and rbp cannot be operands, and are put back.
            // SAFETY: as above; the kernel changes eax, and r8 to r11 before Linux 4.17.
            unsafe {
                asm!(
                    "push rbx",
                    "push rbp",
                    "mov ebx, r8d",
                    "mov ebp, r9d",
                    "int 0x80",
                    "pop rbp",
                    "pop rbx",
                    "xor r9d, r9d",
                    inlateout("rax") u64::from(call.number) => wide,
                    in("rcx") second,
                    in("rdx") third,
                    in("rsi") fourth,
                    in("rdi") fifth,
                    inlateout("r8") first => _,
                    inlateout("r9") sixth => _,
                    lateout("r10") _,
                    lateout("r11") _,
                );
            }
            // eax alone is the result.
            #[allow(clippy::cast_possible_truncation, reason = "the upper half is not part of it")]
            let narrow = wide as i32;
            result = i64::from(narrow);
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_calls_are_not_carried_out_and_others_are() {
        // The filter stays on its thread, so it gets one of its own.
        let (sender, receiver) = std::sync::mpsc::channel::<Listener>();
        let asking = std::thread::spawn(move || {
            let (asker, listener) = Asker::install().unwrap();
            sender.send(listener).unwrap();
            // exit_group, getpid, a number that nobody has.
            let ask = |number| asker.ask(&Call { interface: Interface::X86_64, number, arguments: [0; 5] });
            let verdicts = [ask(231), ask(39), ask(1000)];
            (verdicts, rustix::process::getpid() == process::own_pid())
        });
        let listener = receiver.recv().unwrap();
        // Ends by itself with the thread it serves, or with the process.
        std::thread::spawn(move || listener.serve());
        assert_eq!(asking.join().unwrap(), ([Verdict::Passed; 3], true));
    }
}
