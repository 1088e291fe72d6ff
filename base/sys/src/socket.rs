//! Unix stream sockets between corten's own processes: whole messages, with descriptors.

use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage,
};

use crate::error::{Context, Errno, SysError};
use crate::fs;

/// The kernel's limit of descriptors in one message (SCM_MAX_FD).
const FDS_PER_MESSAGE: usize = 253;

/// A connected pair.
pub fn pair() -> Result<(UnixStream, UnixStream), SysError> {
    UnixStream::pair().on("socketpair", "")
}

/// Takes over a socket that was inherited through exec by its number, close-on-exec again.
pub fn inherited(number: &str) -> Option<UnixStream> {
    let fd: RawFd = number.parse().ok().filter(|&fd| fd > 2)?;
    // SAFETY: the number was handed over by the exec for this purpose, and nothing else in this new program owns it.
    let socket = unsafe { UnixStream::from_raw_fd(fd) };
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC).ok()?;
    Some(socket)
}

/// Sends a length-prefixed message, then its descriptors.
pub fn send(socket: &UnixStream, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), SysError> {
    let mut head = Vec::with_capacity(8 + bytes.len());
    head.extend_from_slice(&u32::try_from(bytes.len()).map_err(|_| too_big())?.to_le_bytes());
    head.extend_from_slice(&u32::try_from(fds.len()).map_err(|_| too_big())?.to_le_bytes());
    head.extend_from_slice(bytes);
    (&*socket).write_all(&head).on("send", "")?;
    for chunk in fds.chunks(FDS_PER_MESSAGE) {
        send_fds(socket, chunk)?;
    }
    Ok(())
}

fn too_big() -> SysError {
    SysError::new("send", "", Errno::MSGSIZE)
}

fn send_fds(socket: &UnixStream, fds: &[BorrowedFd<'_>]) -> Result<(), SysError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_PER_MESSAGE))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(fds));
    let flags = rustix::net::SendFlags::NOSIGNAL;
    rustix::net::sendmsg(socket, &[std::io::IoSlice::new(b"f")], &mut control, flags).on("sendmsg", "")?;
    Ok(())
}

/// A message as [`send`] sent it.
#[derive(Debug)]
pub struct Message {
    pub bytes: Vec<u8>,
    pub fds: Vec<OwnedFd>,
}

/// Receives a message of [`send`]; `None` where the peer closed before one began.
pub fn receive(socket: &UnixStream) -> Result<Option<Message>, SysError> {
    let mut head = [0_u8; 8];
    let first = loop {
        match (&*socket).read(&mut head) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            other => break other.on("recv", "")?,
        }
    };
    let Some(rest) = head.get_mut(first..) else { return Err(too_big()) };
    if first == 0 {
        return Ok(None);
    }
    (&*socket).read_exact(rest).on("recv", "")?;
    let [b0, b1, b2, b3, f0, f1, f2, f3] = head;
    let length = u32::from_le_bytes([b0, b1, b2, b3]) as usize;
    let count = u32::from_le_bytes([f0, f1, f2, f3]) as usize;
    let mut bytes = vec![0; length];
    (&*socket).read_exact(&mut bytes).on("recv", "")?;
    let mut fds = Vec::with_capacity(count.min(1024));
    while fds.len() < count {
        receive_fds(socket, &mut fds)?;
    }
    Ok(Some(Message { bytes, fds }))
}

fn receive_fds(socket: &UnixStream, fds: &mut Vec<OwnedFd>) -> Result<(), SysError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_PER_MESSAGE))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0_u8; 1];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received =
        rustix::net::recvmsg(socket, &mut [std::io::IoSliceMut::new(&mut byte)], &mut control, flags)
            .on("recvmsg", "")?;
    if received.bytes == 0 {
        return Err(SysError::new("recvmsg", "", Errno::CONNRESET));
    }
    let before = fds.len();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            fds.extend(passed);
        }
    }
    // The kernel drops what no descriptor is left for, and says only that it did.
    if fds.len() == before || received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(SysError::new("recvmsg", "the descriptors passed", Errno::MFILE));
    }
    Ok(())
}

/// Listens at a path of any length, mode 0600. An old socket file is replaced.
///
/// `sun_path` holds 107 bytes, so the directory is named through its descriptor.
pub fn listen(path: &Path) -> Result<UnixListener, SysError> {
    let (directory, short) = shorten(path)?;
    fs::remove_file(path)?;
    let listener = UnixListener::bind(&short).on("bind", path)?;
    drop(directory);
    Ok(listener)
}

/// Connects to the socket at a path of any length.
pub fn connect(path: &Path) -> Result<UnixStream, SysError> {
    let (directory, short) = shorten(path)?;
    let stream = UnixStream::connect(&short).on("connect", path)?;
    drop(directory);
    Ok(stream)
}

fn shorten(path: &Path) -> Result<(OwnedFd, String), SysError> {
    use std::os::fd::AsRawFd;
    let parent = path.parent().unwrap_or(Path::new("/"));
    let directory = fs::open_path(parent)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let short = format!("/proc/self/fd/{}/{name}", directory.as_fd().as_raw_fd());
    Ok((directory, short))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn bytes_and_five_hundred_descriptors_arrive() {
        let (a, b) = pair().unwrap();
        let null = std::fs::OpenOptions::new().read(true).open("/dev/null").unwrap();
        let fds = vec![null.as_fd(); 300];
        send(&a, b"hello", &fds).unwrap();
        let message = receive(&b).unwrap().unwrap();
        assert_eq!((message.bytes.as_slice(), message.fds.len()), (b"hello".as_slice(), 300));
        drop(a);
        assert!(receive(&b).unwrap().is_none());
    }
}
