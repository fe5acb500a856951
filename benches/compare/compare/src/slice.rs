//! A short scheduler slice for what is measured.
//!
//! On a machine that does other work, a thread that wakes from a 0.2 ms sync may wait for another thread's slice to
//! end, 4 ms with a 250 Hz tick, and the figure then says nothing about the disk or the program. Since Linux 6.12 an
//! ordinary thread may ask for a slice of its own (`sched_attr.sched_runtime`, with SCHED_OTHER): it waits less and
//! runs for less, its share of the processor stays the same.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The slice that children are given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice {
    attributes: Option<Attributes>,
    note: Note,
}

#[derive(Clone, Copy, Debug)]
enum Note {
    Short { us: u64 },
    NotAsked,
    Refused { errno: i32 },
}

/// `struct sched_attr` of the kernel, first version.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime_ns: u64,
    deadline_ns: u64,
    period_ns: u64,
}

impl Slice {
    /// Tries the slice on this thread, which measures the floor and whose new threads inherit it.
    pub(crate) fn request(us: u64) -> Slice {
        if us == 0 {
            return Slice { attributes: None, note: Note::NotAsked };
        }
        let attributes = Attributes {
            size: size_of::<Attributes>() as u32,
            policy: libc::SCHED_OTHER as u32,
            flags: 0,
            // SAFETY: getpriority reads this process's nice value and touches no memory of ours.
            nice: unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) },
            priority: 0,
            runtime_ns: us.saturating_mul(1000),
            deadline_ns: 0,
            period_ns: 0,
        };
        match attributes.apply().and_then(|()| Attributes::current()) {
            Ok(current) if current.runtime_ns == attributes.runtime_ns => {
                Slice { attributes: Some(attributes), note: Note::Short { us } }
            }
            // An older kernel takes the call and ignores the slice.
            Ok(_) => Slice { attributes: None, note: Note::Refused { errno: 0 } },
            Err(error) => Slice {
                attributes: None,
                note: Note::Refused { errno: error.raw_os_error().unwrap_or_default() },
            },
        }
    }

    /// One sentence on what was got.
    pub(crate) fn describe(&self) -> String {
        match self.note {
            Note::Short { us } => format!("scheduler slice {us} us"),
            Note::NotAsked => "the system's scheduler slice".to_owned(),
            Note::Refused { errno: 0 } => {
                "the system's scheduler slice (this kernel knows no shorter one: Linux 6.12 does)".to_owned()
            }
            Note::Refused { errno } => format!(
                "the system's scheduler slice (a short one was refused: {})",
                io::Error::from_raw_os_error(errno)
            ),
        }
    }

    /// Gives `command` the slice, and ends it with this program.
    pub(crate) fn give(&self, command: &mut Command) {
        let attributes = self.attributes;
        // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
        unsafe {
            command.pre_exec(move || {
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                    return Err(io::Error::last_os_error());
                }
                attributes.map_or(Ok(()), |attributes| attributes.apply())
            });
        }
    }
}

impl Attributes {
    /// Sets the calling thread's attributes.
    fn apply(&self) -> io::Result<()> {
        // SAFETY: the kernel reads `size` bytes from a live structure of exactly that size.
        match unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const *self, 0) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The calling thread's attributes.
    fn current() -> io::Result<Attributes> {
        let mut found = Attributes {
            size: 0,
            policy: 0,
            flags: 0,
            nice: 0,
            priority: 0,
            runtime_ns: 0,
            deadline_ns: 0,
            period_ns: 0,
        };
        let size = size_of::<Attributes>() as u32;
        // SAFETY: the kernel writes at most `size` bytes into a live structure of exactly that size.
        match unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut found, size, 0) } {
            0 => Ok(found),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
