//! Files and directories -> a snapshot: the edge of `source` that reads.
//!
//! Nothing is half applied: if one file cannot be read or holds something that is refused, the
//! whole read fails, and the caller keeps what it had.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    document,
    object::Place,
    parse::{Parsed, parse_value},
    snapshot::Snapshot,
};
use crate::finding::{Finding, Position, Severity};

/// Reads the same paths again and again; a file that did not change is not parsed again.
#[derive(Debug)]
pub struct Reader {
    paths: Vec<PathBuf>,
    files: BTreeMap<PathBuf, Arc<File>>,
    /// What the last read failed with.
    failed: bool,
}

/// What a file held when it was read.
#[derive(Clone, Debug)]
struct File {
    stamp: Stamp,
    objects: Vec<Parsed>,
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
            failed: false,
        }
    }

    /// Reads what changed. `None` if nothing did; the findings at error level, and all others, if
    /// something cannot be used.
    pub fn read(&mut self) -> Result<Option<Snapshot>, Vec<Finding>> {
        self.read_without(&|_| false)
    }

    /// Like `read`, but of files that are being written what they held before counts.
    pub fn read_without(
        &mut self,
        unfinished: &dyn Fn(&fs::Metadata) -> bool,
    ) -> Result<Option<Snapshot>, Vec<Finding>> {
        let mut errors = Vec::new();
        let mut fresh = BTreeMap::new();
        let mut changed = self.failed;
        for path in self.list(&mut errors) {
            let known = self.files.get(&path).map(Arc::clone);
            match self.read_one(&path, unfinished) {
                Ok(Some((file, is_new))) => {
                    changed |= is_new;
                    fresh.insert(path, file);
                }
                // It may be what mends the last read: until it is there, nothing changes.
                Ok(None) if self.failed => return Ok(None),
                Ok(None) => {}
                Err(finding) => {
                    errors.push(finding);
                    fresh.extend(known.map(|known| (path, known)));
                }
            }
        }
        changed |= fresh.len() != self.files.len();
        let is_error = |finding: &&Finding| finding.severity == Severity::Error;
        let refused = fresh
            .values()
            .flat_map(|file| &file.findings)
            .filter(is_error);
        errors.extend(refused.cloned());
        self.files = fresh;
        self.failed = !errors.is_empty();
        if self.failed {
            errors.sort();
            return Err(errors);
        }
        if !changed {
            return Ok(None);
        }
        let snapshot = self.snapshot();
        let errors: Vec<Finding> = snapshot.findings.iter().filter(is_error).cloned().collect();
        self.failed = !errors.is_empty();
        if self.failed {
            Err(errors)
        } else {
            Ok(Some(snapshot))
        }
    }

    fn snapshot(&self) -> Snapshot {
        let objects = self
            .files
            .values()
            .flat_map(|file| file.objects.iter().cloned());
        let mut findings: Vec<Finding> = self
            .files
            .values()
            .flat_map(|file| file.findings.iter().cloned())
            .collect();
        if self.files.is_empty() {
            findings.push(nothing(&self.paths));
        }
        Snapshot::from_objects(objects, findings)
    }

    /// The files below the paths, sorted.
    fn list(&self, errors: &mut Vec<Finding>) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for path in &self.paths {
            match fs::metadata(path) {
                Ok(found) if found.is_dir() => list_directory(path, &mut files, errors),
                Ok(_) => files.push(path.clone()),
                Err(error) => errors.push(unreadable(path, &error)),
            }
        }
        files.sort();
        files.dedup();
        files
    }

    /// What a file holds, and whether that is new; `None` if nothing of it is known yet.
    fn read_one(
        &self,
        path: &Path,
        unfinished: &dyn Fn(&fs::Metadata) -> bool,
    ) -> Result<Option<(Arc<File>, bool)>, Finding> {
        let found = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        if found.is_dir() {
            let error = io::Error::from(io::ErrorKind::IsADirectory);
            return Err(unreadable(path, &error));
        }
        let stamp = (
            found.dev(),
            found.ino(),
            found.size(),
            found.mtime(),
            found.mtime_nsec(),
            found.ctime(),
            found.ctime_nsec(),
        );
        let known = self.files.get(path).map(Arc::clone);
        if let Some(known) = known.as_ref().filter(|known| known.stamp == stamp) {
            return Ok(Some((Arc::clone(known), false)));
        }
        if unfinished(&found) {
            return Ok(known.map(|known| (known, false)));
        }
        let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
        let (mut objects, findings) = parse_text(&path.display().to_string(), &text)?;
        objects.sort_by(|a, b| a.name_key().cmp(&b.name_key()));
        let file = File {
            stamp,
            objects,
            findings,
        };
        Ok(Some((Arc::new(file), true)))
    }
}

/// The objects in the text of a file, and what is found in it.
pub fn parse_text(file: &str, text: &str) -> Result<(Vec<Parsed>, Vec<Finding>), Finding> {
    let file: Arc<str> = file.into();
    let (mut objects, mut findings) = (Vec::new(), Vec::new());
    for document in document::parse(&file, text)? {
        let mut fields = document.fields;
        // The lists of a large cluster: the position of the object is all that is told of them.
        let kind = document.value.get("kind").and_then(|kind| kind.as_str());
        if matches!(kind, Some("EndpointSlice" | "Pod")) {
            fields.retain(|path, _| path.is_empty());
        }
        let place = Place {
            file: Arc::clone(&file),
            fields: Arc::new(fields),
        };
        objects.extend(parse_value(document.value, &place, &mut findings));
    }
    Ok((objects, findings))
}

/// The YAML and JSON files of a directory and below; hidden names are left out, so that the
/// directories behind a mounted ConfigMap (`..data`) are not read twice.
fn list_directory(path: &Path, files: &mut Vec<PathBuf>, errors: &mut Vec<Finding>) {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return errors.push(unreadable(path, &error)),
    };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return errors.push(unreadable(path, &error)),
        };
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let is_document = path
            .extension()
            .is_some_and(|found| ["yaml", "yml", "json"].iter().any(|&known| found == known));
        match fs::metadata(&path) {
            // Said when it is read: `x.yaml` that is a directory is a mistake.
            Ok(found) if found.is_dir() && !is_document => list_directory(&path, files, errors),
            Ok(_) if is_document => files.push(path),
            Err(error) if is_document => errors.push(unreadable(&path, &error)),
            Ok(_) | Err(_) => {}
        }
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Finding {
    let help = match error.kind() {
        io::ErrorKind::NotFound => "name a file or directory that exists",
        io::ErrorKind::PermissionDenied => "let the agent's user read it",
        io::ErrorKind::IsADirectory => "a name that ends in .yaml, .yml or .json must be a file",
        io::ErrorKind::InvalidData => "write it in UTF-8",
        _ => "the last good configuration stays in force until it can be read",
    };
    Finding {
        severity: Severity::Error,
        code: "STR0104",
        object: None,
        position: Some(position(path)),
        field: String::new(),
        message: format!("cannot read it: {error}"),
        help: help.to_owned(),
    }
}

fn nothing(paths: &[PathBuf]) -> Finding {
    Finding {
        severity: Severity::Warning,
        code: "STR0105",
        object: None,
        position: paths.first().map(|path| position(path)),
        field: String::new(),
        message: "there is no configuration: no file ends in .yaml, .yml or .json".to_owned(),
        help: "put the YAML of services, endpoint slices and pods there".to_owned(),
    }
}

fn position(path: &Path) -> Position {
    Position {
        file: path.display().to_string().into(),
        line: 0,
        column: 0,
    }
}
