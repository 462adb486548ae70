//! The limit of open files of this process: raised at the start to the number that the
//! configuration needs, and respected by the listener, so that connections never keep the log from
//! opening its files.

#[cfg(all(unix, not(madsim)))]
mod limit {
    use std::os::fd::{AsFd, AsRawFd};

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    /// Raises the limit of this process to `needed` open files.
    ///
    /// # Errors
    /// The hard limit, if it is lower than `needed`; the current limit, if it cannot be raised.
    pub(in crate::runtime) fn raise(needed: u64) -> Result<(), u64> {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        if current.is_none_or(|current| current >= needed) {
            return Ok(());
        }
        match maximum {
            Some(maximum) if maximum < needed => Err(maximum),
            _ => {
                let raised = Rlimit { current: Some(needed), maximum };
                setrlimit(Resource::Nofile, raised).map_err(|_| current.unwrap_or(u64::MAX))
            }
        }
    }

    /// Returns true if the limit leaves `reserved` file descriptors with numbers above that of this
    /// file. If the caller closes at once every connection for which this is false, connections
    /// never hold the last `reserved` descriptors, and as many other files can always be opened.
    pub(in crate::runtime) fn leaves_room(file: &impl AsFd, reserved: usize) -> bool {
        let Some(limit) = getrlimit(Resource::Nofile).current else { return true };
        let number = u64::try_from(file.as_fd().as_raw_fd()).unwrap_or(0);
        number.saturating_add(reserved as u64) < limit
    }
}

#[cfg(not(all(unix, not(madsim))))]
mod limit {
    /// Does nothing, because this system, or the simulation by madsim, has no such limit.
    #[expect(clippy::unnecessary_wraps, reason = "only Unix has a limit")]
    pub(in crate::runtime) fn raise(_: u64) -> Result<(), u64> {
        Ok(())
    }

    /// Returns true, because this system, or the simulation by madsim, has no such limit.
    pub(in crate::runtime) fn leaves_room<T>(_: &T, _: usize) -> bool {
        true
    }
}

pub(super) use limit::{leaves_room, raise};
