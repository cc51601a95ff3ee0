//! How often each program ran and for how long. The kernel keeps count only while
//! `kernel.bpf_stats_enabled` is 1, a switch of the whole machine that makes every run slower.

use std::{
    fs,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    time::Duration,
};

use super::{KernelError, PROGRAMS, Pins, object::may_rest, sys};

/// What the kernel counted of one program.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Runs {
    /// How often it ran.
    pub count: u64,
    /// How long it ran in all.
    pub time: Duration,
}

/// The programs in force, held open.
pub struct Programs {
    open: Vec<(&'static str, OwnedFd)>,
}

impl Programs {
    /// Opens the programs of pinned links.
    pub fn open(pins: &Pins) -> Result<Self, KernelError> {
        let mut open = Vec::new();
        for name in PROGRAMS {
            let failed = |call| {
                move |source| KernelError::Bpf {
                    call,
                    name: name.to_owned(),
                    source,
                }
            };
            if may_rest(name) && !pins.link(name).exists() {
                continue;
            }
            let link = sys::open_pin(&pins.link(name)).map_err(failed("OBJ_GET"))?;
            let info = sys::link_info(link.as_fd()).map_err(failed("OBJ_GET_INFO_BY_FD"))?;
            let program =
                sys::program_by_id(info.program_id).map_err(failed("PROG_GET_FD_BY_ID"))?;
            open.push((name, program));
        }
        Ok(Self { open })
    }

    /// What was counted of the program `name` so far.
    pub fn runs(&self, name: &str) -> Result<Runs, KernelError> {
        let Some((_, program)) = self.open.iter().find(|(known, _)| *known == name) else {
            return Ok(Runs::default());
        };
        let path = format!("/proc/self/fdinfo/{}", program.as_raw_fd());
        let text = fs::read_to_string(&path).map_err(KernelError::io("reading", &path))?;
        Ok(parse(&text))
    }
}

/// The lines `run_time_ns` and `run_cnt` of a program's fdinfo (kernel/bpf/syscall.c).
fn parse(text: &str) -> Runs {
    let number = |field: &str| -> u64 {
        text.lines()
            .find_map(|line| {
                line.strip_prefix(field)?
                    .strip_prefix(':')?
                    .trim()
                    .parse()
                    .ok()
            })
            .unwrap_or_default()
    };
    Runs {
        count: number("run_cnt"),
        time: Duration::from_nanos(number("run_time_ns")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fdinfo_is_read() {
        let text = "pos:\t0\nflags:\t02000000\nprog_type:\t18\nrun_time_ns:\t5800\nrun_cnt:\t100\n";
        assert_eq!(
            parse(text),
            Runs {
                count: 100,
                time: Duration::from_nanos(5800)
            }
        );
    }
}
