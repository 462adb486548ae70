//! Notifications to the service manager: systemd, for a unit with `Type=notify`.

use std::ffi::OsStr;
use std::io;
#[cfg(target_os = "linux")]
use std::time::Duration;

use tracing::warn;

/// The variable with the socket of the service manager, if that expects notifications.
const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";

/// The time for which a notification waits for a service manager that receives nothing.
#[cfg(target_os = "linux")]
const SEND_TIME_MAX: Duration = Duration::from_secs(1);

/// Sends a state, such as `READY=1`, to the service manager that has started this process, if it
/// expects notifications (sd_notify(3)).
pub(crate) fn notify(state: &str) {
    let Some(socket) = std::env::var_os(SOCKET_VARIABLE) else { return };
    if let Err(error) = send(&socket, state) {
        warn!(%error, "cannot notify the service manager");
    }
}

#[cfg(target_os = "linux")]
fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    // A name in the abstract namespace begins with `@` in the variable.
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    let sender = UnixDatagram::unbound()?;
    sender.set_write_timeout(Some(SEND_TIME_MAX))?;
    sender.send_to_addr(state.as_bytes(), &address)?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn send(_: &OsStr, _: &str) -> io::Result<()> {
    Ok(())
}
