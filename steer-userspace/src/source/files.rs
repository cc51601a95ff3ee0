//! Files and directories -> a snapshot: the edge of `source` that reads.
//!
//! Nothing is half applied: if one file cannot be read or holds something that is refused, the
//! whole read fails, and the caller keeps what it had.

mod list;
mod part;

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use part::Part;

pub use part::parse_text;

use super::{rules::Document, snapshot::Snapshot};
use crate::finding::{Finding, Position, Severity, codes};

/// No file that people write is larger; what is read costs several times its size.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// File systems note times this coarsely: a file that changed a moment ago may change again and
/// look the same.
const TIME_GRAIN: Duration = Duration::from_millis(20);

/// Reads the same paths again and again. A file that did not change is not read again, and a
/// document that did not change is not parsed again.
#[derive(Debug)]
pub struct Reader {
    paths: Vec<PathBuf>,
    /// As they were read last, broken ones as they were before.
    files: BTreeMap<PathBuf, Arc<File>>,
    /// What `snapshot` was made from.
    good: BTreeMap<PathBuf, Arc<File>>,
    /// The last that could be used.
    snapshot: Option<Snapshot>,
    failed: bool,
}

/// What a file held when it was read.
#[derive(Clone, Debug)]
struct File {
    /// `None` if its times do not tell whether it changed.
    stamp: Option<Stamp>,
    parts: Vec<Arc<Part>>,
    /// What was found in them.
    findings: Vec<Finding>,
}

/// Tells whether a file changed: device, inode, size, modification and change time.
type Stamp = (u64, u64, u64, i64, i64, i64, i64);

impl Reader {
    /// Nothing is read yet.
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            files: BTreeMap::new(),
            good: BTreeMap::new(),
            snapshot: None,
            failed: false,
        }
    }

    /// Reads what changed. `None` if nothing did; the findings at error level if something cannot
    /// be used.
    pub fn read(&mut self) -> Result<Option<Snapshot>, Vec<Finding>> {
        self.read_without(&|_| false)
    }

    /// Like `read`, but of files that are being written what they held before counts.
    pub fn read_without(
        &mut self,
        unfinished: &dyn Fn(&fs::Metadata) -> bool,
    ) -> Result<Option<Snapshot>, Vec<Finding>> {
        let mut errors = Vec::new();
        let mut files = BTreeMap::new();
        for path in list::files(&self.paths, &mut errors) {
            let known = self.files.get(&path);
            match read_file(&path, known, unfinished) {
                Ok(Some(file)) => {
                    files.insert(path, file);
                }
                // It may be what mends the last read: until it is there, nothing changes.
                Ok(None) if self.failed => return Ok(None),
                Ok(None) => files.extend(known.map(|known| (path, Arc::clone(known)))),
                Err(mut found) => {
                    errors.append(&mut found);
                    files.extend(known.map(|known| (path, Arc::clone(known))));
                }
            }
        }
        self.files = files;
        let is_error = |finding: &&Finding| finding.severity == Severity::Error;
        let found = self.files.values().flat_map(|file| &file.findings);
        errors.extend(found.filter(is_error).cloned());
        if !errors.is_empty() {
            return Err(self.fail(errors));
        }
        let was_failed = std::mem::take(&mut self.failed);
        if let Some(last) = &self.snapshot
            && self.is_same()
        {
            // What was told to be broken is mended: the caller is told so.
            return Ok(was_failed.then(|| last.clone()));
        }
        let snapshot = self.made();
        let errors: Vec<Finding> = snapshot.findings.iter().filter(is_error).cloned().collect();
        if !errors.is_empty() {
            return Err(self.fail(errors));
        }
        self.good.clone_from(&self.files);
        self.snapshot = Some(snapshot.clone());
        Ok(Some(snapshot))
    }

    /// The rules of the last snapshot, as they are written.
    pub fn rules(&self) -> Vec<Document> {
        let parts = self.good.values().flat_map(|file| &file.parts);
        parts.filter_map(|part| part.rules.clone()).collect()
    }

    fn fail(&mut self, mut errors: Vec<Finding>) -> Vec<Finding> {
        self.failed = true;
        errors.sort();
        errors.dedup();
        errors
    }

    /// Whether the files hold what the last snapshot was made from.
    fn is_same(&self) -> bool {
        self.files.len() == self.good.len()
            && self
                .files
                .iter()
                .zip(&self.good)
                .all(|((path, file), (known, good))| path == known && file.is_same(good))
    }

    /// A snapshot of the files: the last one, with the parts that changed.
    fn made(&self) -> Snapshot {
        let empty = Snapshot::default();
        let last = self.snapshot.as_ref().unwrap_or(&empty);
        let removed = without(&self.good, &self.files);
        let added = without(&self.files, &self.good);
        let mut findings: Vec<Finding> = self
            .files
            .values()
            .flat_map(|file| &file.findings)
            .cloned()
            .collect();
        if self.files.is_empty() {
            findings.push(nothing(&self.paths));
        }
        last.replaced(
            removed.iter().flat_map(|part| part.objects.iter().cloned()),
            added.iter().flat_map(|part| part.objects.iter().cloned()),
            findings,
        )
    }
}

impl File {
    fn is_same(&self, other: &Self) -> bool {
        self.parts.len() == other.parts.len()
            && self
                .parts
                .iter()
                .zip(&other.parts)
                .all(|(a, b)| Arc::ptr_eq(a, b))
    }
}

/// The parts of `files` that are not in `others`.
fn without<'a>(
    files: &'a BTreeMap<PathBuf, Arc<File>>,
    others: &BTreeMap<PathBuf, Arc<File>>,
) -> Vec<&'a Part> {
    let mut parts = Vec::new();
    for (path, file) in files {
        let other = others.get(path);
        if other.is_some_and(|other| Arc::ptr_eq(other, file)) {
            continue;
        }
        let known: std::collections::BTreeSet<*const Part> = other
            .into_iter()
            .flat_map(|other| other.parts.iter().map(Arc::as_ptr))
            .collect();
        let fresh = file
            .parts
            .iter()
            .filter(|part| !known.contains(&Arc::as_ptr(part)));
        parts.extend(fresh.map(AsRef::as_ref));
    }
    parts
}

/// Reads a file, if it is not as `known`; `None` if it is being written.
fn read_file(
    path: &Path,
    known: Option<&Arc<File>>,
    unfinished: &dyn Fn(&fs::Metadata) -> bool,
) -> Result<Option<Arc<File>>, Vec<Finding>> {
    let failed = |error: &io::Error| vec![unreadable(path, error)];
    let found = fs::metadata(path).map_err(|error| failed(&error))?;
    if !found.is_file() {
        // A pipe would never end.
        return Err(vec![not_a_file(path, found.is_dir())]);
    }
    if found.len() > FILE_BYTES_MAX {
        return Err(vec![too_large(path, found.len())]);
    }
    let stamp = stamp(&found);
    if let Some(known) = known.filter(|known| stamp.is_some() && known.stamp == stamp) {
        return Ok(Some(Arc::clone(known)));
    }
    if unfinished(&found) {
        return Ok(None);
    }
    let bytes = fs::read(path).map_err(|error| failed(&error))?;
    let text = String::from_utf8(bytes).map_err(|error| vec![not_text(path, &error)])?;
    let known_parts = known.map_or(&[][..], |known| &known.parts);
    let name = path.display().to_string();
    let parts = part::parts(&name.as_str().into(), &text, known_parts)?;
    let found = parts.iter().flat_map(|part| &part.findings);
    let findings = found.cloned().collect();
    Ok(Some(Arc::new(File {
        stamp,
        parts,
        findings,
    })))
}

fn stamp(found: &fs::Metadata) -> Option<Stamp> {
    let age = |time: SystemTime| SystemTime::now().duration_since(time).ok();
    let is_settled = found
        .modified()
        .is_ok_and(|time| age(time).is_some_and(|age| age > TIME_GRAIN));
    is_settled.then(|| {
        (
            found.dev(),
            found.ino(),
            found.size(),
            found.mtime(),
            found.mtime_nsec(),
            found.ctime(),
            found.ctime_nsec(),
        )
    })
}

fn finding(path: &Path, place: (u32, u32), message: String, help: &str) -> Finding {
    let (line, column) = place;
    Finding {
        severity: Severity::Error,
        code: codes::FILE_UNREADABLE,
        object: None,
        position: Some(Position {
            file: path.display().to_string().into(),
            line,
            column,
        }),
        field: String::new(),
        message,
        help: help.to_owned(),
    }
}

/// A whole file.
const NOWHERE: (u32, u32) = (0, 0);

fn unreadable(path: &Path, error: &io::Error) -> Finding {
    let help = match error.kind() {
        io::ErrorKind::NotFound => "name a file or directory that exists",
        io::ErrorKind::PermissionDenied => "let the user that runs steer read it",
        _ => "the last good configuration stays in force until it can be read",
    };
    let reason = match error.kind() {
        io::ErrorKind::NotFound if path.is_symlink() => "it is a link to nothing".to_owned(),
        io::ErrorKind::NotFound => "there is no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    finding(path, NOWHERE, format!("cannot be read: {reason}"), help)
}

fn not_a_file(path: &Path, is_directory: bool) -> Finding {
    let what = if is_directory {
        "a directory"
    } else {
        "neither a file nor a directory"
    };
    finding(
        path,
        NOWHERE,
        format!("cannot be read: it is {what}"),
        "what ends in .yaml, .yml or .json must be a file",
    )
}

fn too_large(path: &Path, bytes: u64) -> Finding {
    finding(
        path,
        NOWHERE,
        format!("cannot be read: it has {bytes} bytes, more than {FILE_BYTES_MAX}"),
        "split it",
    )
}

fn not_text(path: &Path, error: &std::string::FromUtf8Error) -> Finding {
    let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let line = count(before.split(|&byte| byte == b'\n').count());
    let last = before
        .rsplit(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    let column = count(String::from_utf8_lossy(last).chars().count() + 1);
    finding(
        path,
        (line, column),
        "cannot be read: this is not UTF-8".to_owned(),
        "write the file in UTF-8",
    )
}

fn nothing(paths: &[PathBuf]) -> Finding {
    let position = paths.first().map(|path| Position {
        file: path.display().to_string().into(),
        line: 0,
        column: 0,
    });
    Finding {
        severity: Severity::Warning,
        code: codes::NO_CONFIGURATION,
        object: None,
        position,
        field: String::new(),
        message: "there is no configuration: no file ends in .yaml, .yml or .json".to_owned(),
        help: "put the YAML of services, endpoint slices and pods there".to_owned(),
    }
}

#[cfg(test)]
mod tests;
