//! Rows of a map as bytes: to copy what nobody has to understand.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
};

use aya::maps::MapInfo;

use super::{MAP_UPDATE_ELEM, UpdateElement, address, bpf, number, open_pin};

const MAP_LOOKUP_ELEM: i64 = 1;
const MAP_GET_NEXT_KEY: i64 = 4;

/// `BPF_ANY` and `BPF_NOEXIST`.
const ANY: u64 = 0;
const NOEXIST: u64 = 1;

/// What a row must be for another map to take it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::kernel) struct Shape {
    /// The kernel's number of the kind of map.
    pub(in crate::kernel) kind: u32,
    /// Bytes of a key.
    pub(in crate::kernel) key: usize,
    /// Bytes of a value: of one CPU's, where each has its own.
    pub(in crate::kernel) value: usize,
    /// How many rows there may be.
    pub(in crate::kernel) rows: u32,
    /// How many values a row has.
    copies: usize,
}

impl Shape {
    /// Whether this is an array: rows that were never written are zeroes.
    pub(in crate::kernel) const fn is_array(&self) -> bool {
        const ARRAY: u32 = 2;
        const PERCPU_ARRAY: u32 = 6;
        matches!(self.kind, ARRAY | PERCPU_ARRAY)
    }

    /// How the kernel passes a row: the values of CPUs are padded to eight bytes each.
    const fn stride(&self) -> usize {
        if self.copies == 1 {
            self.value
        } else {
            self.value.next_multiple_of(8)
        }
    }
}

/// A pinned map.
pub(in crate::kernel) struct Rows {
    map: OwnedFd,
    shape: Shape,
}

impl Rows {
    /// Opens it.
    pub(in crate::kernel) fn open(path: &Path) -> io::Result<Self> {
        const PERCPU: [u32; 3] = [5, 6, 10];
        let info = MapInfo::from_pin(path).map_err(io::Error::other)?;
        let kind = info.map_type().map_err(io::Error::other)? as u32;
        let copies = if PERCPU.contains(&kind) {
            aya::util::nr_cpus().map_err(|(_, error)| error)?
        } else {
            1
        };
        Ok(Self {
            map: open_pin(path)?,
            shape: Shape {
                kind,
                key: info.key_size() as usize,
                value: info.value_size() as usize,
                rows: info.max_entries(),
                copies,
            },
        })
    }

    /// What its rows look like.
    pub(in crate::kernel) fn shape(&self) -> Shape {
        self.shape
    }

    fn element(&self, key: u64, value: u64) -> UpdateElement {
        UpdateElement {
            map: number(self.map.as_fd()),
            pad: 0,
            key,
            value,
            flags: 0,
        }
    }

    /// The key after `key`, or the first; `None` after the last. A key that is gone starts over.
    pub(in crate::kernel) fn next(&self, key: Option<&[u8]>) -> io::Result<Option<Vec<u8>>> {
        let mut next = vec![0_u8; self.shape.key];
        let from = key.map_or(0, |key| address(key.as_ptr()));
        let attribute = self.element(from, next.as_mut_ptr().expose_provenance() as u64);
        // SAFETY: both are as long as a key, and outlive the call.
        match unsafe { bpf(MAP_GET_NEXT_KEY, &attribute) } {
            Ok(_) => Ok(Some(next)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A row; `None` if it is gone.
    pub(in crate::kernel) fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut row = vec![0_u8; self.shape.stride() * self.shape.copies];
        let to = row.as_mut_ptr().expose_provenance() as u64;
        let attribute = self.element(address(key.as_ptr()), to);
        // SAFETY: the key is one of this map, the row as long as the kernel writes; both outlive
        // the call.
        match unsafe { bpf(MAP_LOOKUP_ELEM, &attribute) } {
            Ok(_) => Ok(Some(row)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a row that was read from a map of shape `from`, whose values may be shorter: what they
    /// lack is zero.
    pub(in crate::kernel) fn set(&self, key: &[u8], row: &[u8], from: &Shape) -> io::Result<()> {
        self.write(key, row, from, ANY)
    }

    /// The same, unless there is one already.
    pub(in crate::kernel) fn add(&self, key: &[u8], row: &[u8], from: &Shape) -> io::Result<()> {
        match self.write(key, row, from, NOEXIST) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            written => written,
        }
    }

    fn write(&self, key: &[u8], row: &[u8], from: &Shape, flags: u64) -> io::Result<()> {
        let stride = self.shape.stride();
        let mut own = vec![0_u8; stride * self.shape.copies];
        let values = row.chunks_exact(from.stride());
        for (own, value) in own.chunks_exact_mut(stride).zip(values) {
            let length = stride.min(value.len());
            own[..length].copy_from_slice(&value[..length]);
        }
        let attribute = UpdateElement {
            flags,
            ..self.element(address(key.as_ptr()), address(own.as_ptr()))
        };
        // SAFETY: the key is as long as this map's, the row as long as the kernel reads; both
        // outlive the call.
        unsafe { bpf(MAP_UPDATE_ELEM, &attribute) }.map(drop)
    }
}
