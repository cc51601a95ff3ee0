//! Commands of bpf(2) that aya 0.14 does not offer. Each attribute structure holds just the
//! members that its command reads; the kernel takes the rest as zero (linux/bpf.h).
#![expect(
    unsafe_code,
    reason = "raw system calls, each wrapped in a function that owns its fds"
)]

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
    ptr::NonNull,
};

use aya::Pod;

pub(super) mod rows;

const MAP_CREATE: i64 = 0;
const MAP_UPDATE_ELEM: i64 = 2;
const OBJ_GET: i64 = 7;
const PROG_QUERY: i64 = 16;
const PROG_GET_FD_BY_ID: i64 = 13;
const OBJ_GET_INFO_BY_FD: i64 = 15;
const MAP_UPDATE_BATCH: i64 = 26;
const LINK_UPDATE: i64 = 29;

/// A descriptor as bpf(2) wants it. Descriptors are never negative.
fn number(fd: impl AsFd) -> u32 {
    fd.as_fd().as_raw_fd().cast_unsigned()
}

fn address<T>(value: *const T) -> u64 {
    value.expose_provenance() as u64
}

/// SAFETY: `T` is `repr(C)`, begins like the kernel's attribute of `command`, and the pointers in
/// it are valid for what the command reads or writes.
unsafe fn bpf<T>(command: i64, attribute: &T) -> io::Result<i64> {
    // SAFETY: the caller vouches for the attribute; its size is passed along.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            &raw const *attribute,
            size_of::<T>(),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// SAFETY: `fd` was just returned by the kernel and belongs to nobody.
unsafe fn owned(fd: i64) -> io::Result<OwnedFd> {
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the caller vouches for it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[repr(C)]
struct PathAttribute {
    path: u64,
    fd: u32,
    flags: u32,
}

/// Opens a pinned object.
pub(super) fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let attribute = PathAttribute {
        path: address(path.as_ptr()),
        fd: 0,
        flags: 0,
    };
    // SAFETY: the path outlives the call; the result is a new descriptor.
    unsafe { owned(bpf(OBJ_GET, &attribute)?) }
}

#[repr(C)]
struct LinkUpdate {
    link: u32,
    program: u32,
    flags: u32,
    old_program: u32,
}

/// Replaces the program of a link, atomically.
pub(super) fn update_link(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let attribute = LinkUpdate {
        link: number(link),
        program: number(program),
        flags: 0,
        old_program: 0,
    };
    // SAFETY: no pointers.
    unsafe { bpf(LINK_UPDATE, &attribute) }.map(drop)
}

/// The start of the kernel's `bpf_link_info`, for cgroup links.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct LinkInfo {
    pub(super) kind: u32,
    pub(super) id: u32,
    pub(super) program_id: u32,
    pad: u32,
    /// 0 when the cgroup is gone.
    pub(super) cgroup_id: u64,
    pub(super) attach_type: u32,
    pad_2: u32,
}

impl LinkInfo {
    /// Of a tcx link: the interface, 0 when it was detached. It stands where the cgroup of others does.
    #[expect(clippy::cast_possible_truncation, reason = "the low half")]
    pub(super) const fn interface(&self) -> u32 {
        u64::from_le(self.cgroup_id) as u32
    }
}

#[repr(C)]
struct InfoByFd {
    fd: u32,
    length: u32,
    info: u64,
}

/// What a link is attached to.
pub(super) fn link_info(link: BorrowedFd<'_>) -> io::Result<LinkInfo> {
    let mut info = LinkInfo::default();
    let attribute = InfoByFd {
        fd: number(link),
        length: u32::try_from(size_of::<LinkInfo>()).map_err(io::Error::other)?,
        info: (&raw mut info).expose_provenance() as u64,
    };
    // SAFETY: `info` outlives the call and is as long as `length` says.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &attribute)? };
    Ok(info)
}

/// Whether a pinned tcx link is attached to an interface.
pub(super) fn is_at_interface(path: &Path, index: u32) -> bool {
    let info = open_pin(path).and_then(|link| link_info(link.as_fd()));
    info.is_ok_and(|info| info.interface() == index)
}

#[repr(C)]
struct ById {
    id: u32,
    next_id: u32,
    flags: u32,
}

/// Opens a program by its number.
pub(super) fn program_by_id(id: u32) -> io::Result<OwnedFd> {
    let attribute = ById {
        id,
        next_id: 0,
        flags: 0,
    };
    // SAFETY: no pointers; the result is a new descriptor.
    unsafe { owned(bpf(PROG_GET_FD_BY_ID, &attribute)?) }
}

/// `BPF_CGROUP_INET4_CONNECT` and its kin: the attach types of steer's hooks (linux/bpf.h).
pub(super) const CGROUP_HOOKS: [(u32, &str); 11] = [
    (0, "skb ingress"),
    (1, "skb egress"),
    (10, "connect4"),
    (11, "connect6"),
    (14, "sendmsg4"),
    (15, "sendmsg6"),
    (19, "recvmsg4"),
    (20, "recvmsg6"),
    (29, "getpeername4"),
    (30, "getpeername6"),
    (34, "sock_release"),
];

/// All of it, whatever is asked: newer kernels write the revision back without looking at the size
/// that they were told.
#[repr(C)]
#[derive(Default)]
struct ProgramQuery {
    target: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    pad: u32,
    program_attach_flags: u64,
    link_ids: u64,
    link_attach_flags: u64,
    revision: u64,
}

/// SAFETY: `ids` holds as many as `count` says, and outlives the call.
unsafe fn query(attribute: &mut ProgramQuery) -> io::Result<()> {
    let size = size_of::<ProgramQuery>();
    // SAFETY: the caller vouches for `ids`; the kernel writes within the attribute.
    let result = unsafe { libc::syscall(libc::SYS_bpf, PROG_QUERY, &raw mut *attribute, size) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// The numbers of the programs that run for a cgroup at a hook, inherited ones among them.
pub(super) fn attached_programs(target: BorrowedFd<'_>, attach_type: u32) -> io::Result<Vec<u32>> {
    const EFFECTIVE: u32 = 1;
    let mut ids = vec![0_u32; 64];
    let mut attribute = ProgramQuery {
        target: number(target),
        attach_type,
        query_flags: EFFECTIVE,
        ids: ids.as_mut_ptr().expose_provenance() as u64,
        count: 64,
        ..ProgramQuery::default()
    };
    // SAFETY: 64 ids, which are still there.
    unsafe { query(&mut attribute)? };
    ids.truncate(attribute.count as usize);
    Ok(ids)
}

/// Whether the kernel knows of programs that links attach to interfaces; it is asked for those of
/// one interface.
pub(super) fn is_tcx_known(interface: u32) -> io::Result<bool> {
    const TCX_INGRESS: u32 = 46;
    let mut attribute = ProgramQuery {
        target: interface,
        attach_type: TCX_INGRESS,
        ..ProgramQuery::default()
    };
    // SAFETY: no ids are asked for.
    match unsafe { query(&mut attribute) } {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
        Err(error) => Err(error),
    }
}

#[repr(C)]
struct BatchUpdate {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

/// Writes `values` to consecutive rows of an array with one system call (Linux 5.6).
pub(super) fn update_rows<V: Pod>(map: BorrowedFd<'_>, first: u32, values: &[V]) -> io::Result<()> {
    let count = u32::try_from(values.len()).map_err(io::Error::other)?;
    let keys: Vec<u32> = (first..first.saturating_add(count)).collect();
    let attribute = BatchUpdate {
        in_batch: 0,
        out_batch: 0,
        keys: address(keys.as_ptr()),
        values: address(values.as_ptr()),
        count,
        map: number(map),
        element_flags: 0,
        flags: 0,
    };
    // SAFETY: both slices outlive the call and hold `count` elements; array values of 8-byte
    // multiples are laid out without gaps, which the callers' row types are.
    unsafe { bpf(MAP_UPDATE_BATCH, &attribute) }.map(drop)
}

#[repr(C)]
struct MapCreate {
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    inner_map: u32,
}

const ARRAY: u32 = 2;
const ARRAY_OF_MAPS: u32 = 12;

fn create_map(kind: u32, inner_map: u32) -> io::Result<OwnedFd> {
    let attribute = MapCreate {
        kind,
        key_size: 4,
        value_size: 4,
        max_entries: 1,
        flags: 0,
        inner_map,
    };
    // SAFETY: no pointers; the result is a new descriptor.
    unsafe { owned(bpf(MAP_CREATE, &attribute)?) }
}

/// An array of one map, and the map in it.
pub(super) fn create_map_in_map() -> io::Result<(OwnedFd, OwnedFd)> {
    let inner = create_map(ARRAY, 0)?;
    let outer = create_map(ARRAY_OF_MAPS, number(&inner))?;
    Ok((outer, inner))
}

#[repr(C)]
struct UpdateElement {
    map: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// Puts `inner` into the only slot of `outer`.
pub(super) fn set_inner_map(outer: BorrowedFd<'_>, inner: BorrowedFd<'_>) -> io::Result<()> {
    let key = 0_u32;
    let value = number(inner);
    let attribute = UpdateElement {
        map: number(outer),
        pad: 0,
        key: address(&raw const key),
        value: address(&raw const value),
        flags: 0,
    };
    // SAFETY: key and value outlive the call and are four bytes each, as the map was created.
    unsafe { bpf(MAP_UPDATE_ELEM, &attribute) }.map(drop)
}

/// Keeps a value beside a socket (Linux 5.4).
pub(super) fn keep_beside<V: Copy>(
    map: BorrowedFd<'_>,
    socket: BorrowedFd<'_>,
    value: &V,
) -> io::Result<()> {
    let key = number(socket);
    let attribute = UpdateElement {
        map: number(map),
        pad: 0,
        key: address(&raw const key),
        value: address(&raw const *value),
        flags: 0,
    };
    // SAFETY: key and value outlive the call; the key of such a map is a descriptor, and callers pass the
    // type of its values.
    unsafe { bpf(MAP_UPDATE_ELEM, &attribute) }.map(drop)
}

/// A map's memory, shared with the kernel.
pub(super) struct Shared<T> {
    start: NonNull<T>,
    count: usize,
}

// SAFETY: the memory is shared with other CPUs anyway; `T: Sync` says how it may be used.
unsafe impl<T: Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Shared<T> {}

impl<T: Sync> Shared<T> {
    /// Maps `count` values of an array created with `BPF_F_MMAPABLE` (Linux 5.5). `T` must be as
    /// large as the map's values, and valid for every content: atomic integers.
    pub(super) fn map(map: BorrowedFd<'_>, count: usize) -> io::Result<Self> {
        let length = count * size_of::<T>();
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping at an address of the kernel's choice.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                access,
                kind,
                map.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(Self { start, count })
    }

    /// The values.
    pub(super) fn values(&self) -> &[T] {
        // SAFETY: the mapping is that long, page-aligned, and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nobody borrows it any more. It cannot fail for a
        // mapping that exists.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.count * size_of::<T>()) };
    }
}
