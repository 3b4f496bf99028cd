use std::fs;
use std::os::fd::AsFd;

use weir_ebpf_abi::Counter;

use crate::{Error, Redirect, sys};

/// What the programs counted since they were first installed, summed over CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters([u64; Counter::COUNT]);

impl Counters {
    /// One of them.
    #[must_use]
    pub fn of(&self, counter: Counter) -> u64 {
        self.0.get(counter as usize).copied().unwrap_or(0)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Counter::ALL
            .iter()
            .map(|counter| (counter.as_str(), self.of(*counter)))
    }
}

impl Redirect {
    /// Reads the counters.
    pub fn counters(&self) -> Result<Counters, Error> {
        let cpus = possible_cpus()?;
        let mut counters = [0; Counter::COUNT];
        // A look-up in a per-CPU map answers with one value for each possible CPU.
        let mut values = vec![0_u8; cpus * 8];
        for (slot, sum) in (0_u32..).zip(&mut counters) {
            sys::map_lookup(
                self.tables.counters.as_fd(),
                &slot.to_ne_bytes(),
                &mut values,
            )
            .map_err(Error::system("bpf(BPF_MAP_LOOKUP_ELEM)", "COUNTERS"))?;
            *sum = values
                .chunks_exact(8)
                .filter_map(|value| value.first_chunk())
                .fold(0, |sum: u64, value| {
                    sum.wrapping_add(u64::from_ne_bytes(*value))
                });
        }
        Ok(Counters(counters))
    }
}

/// Number of CPUs that the kernel makes room for.
fn possible_cpus() -> Result<usize, Error> {
    let path = "/sys/devices/system/cpu/possible";
    let text = fs::read_to_string(path).map_err(Error::system("read", path))?;
    last_cpu(&text)
        .map(|last| last + 1)
        .ok_or_else(|| Error::system("read", path)(std::io::ErrorKind::InvalidData.into()))
}

/// The end of the last range of `0-3,8-11`.
fn last_cpu(list: &str) -> Option<usize> {
    list.trim().rsplit([',', '-']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_possible_cpu_is_found_in_every_form_of_the_list() {
        assert_eq!(
            ["0\n", "0-1\n", "0-3,8-11", "0,4"].map(last_cpu),
            [Some(0), Some(1), Some(11), Some(4)]
        );
        assert_eq!(last_cpu(""), None);
    }
}
