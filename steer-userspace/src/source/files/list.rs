//! Which files a configuration consists of.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{NOWHERE, finding, unreadable};
use crate::finding::Finding;

/// The files at and below `paths`, sorted; what cannot be listed is an error.
pub(super) fn files(paths: &[PathBuf], errors: &mut Vec<Finding>) -> Vec<PathBuf> {
    let mut listing = Listing {
        files: Vec::new(),
        directories: BTreeSet::new(),
        errors,
    };
    for path in paths {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => listing.directory(path, &found),
            Ok(_) => listing.files.push(path.clone()),
            Err(error) => listing.errors.push(unreadable(path, &error)),
        }
    }
    let mut files = listing.files;
    files.sort();
    files.dedup();
    files
}

struct Listing<'a> {
    files: Vec<PathBuf>,
    /// Device and inode: a link to a directory above would never end.
    directories: BTreeSet<(u64, u64)>,
    errors: &'a mut Vec<Finding>,
}

impl Listing<'_> {
    /// Adds the YAML and JSON files of a directory and below. Hidden names are left out, so that
    /// the directories behind a mounted ConfigMap (`..data`) are not read twice.
    fn directory(&mut self, path: &Path, found: &fs::Metadata) {
        if !self.directories.insert((found.dev(), found.ino())) {
            return;
        }
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return self.errors.push(unreadable(path, &error)),
        };
        for entry in entries {
            match entry {
                Ok(entry) => self.entry(&entry),
                Err(error) => self.errors.push(unreadable(path, &error)),
            }
        }
    }

    fn entry(&mut self, entry: &fs::DirEntry) {
        let path = entry.path();
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            let message = "its name is not UTF-8".to_owned();
            self.errors
                .push(finding(&path, NOWHERE, message, "rename it"));
            return;
        };
        if name.starts_with('.') {
            return;
        }
        let is_document = path
            .extension()
            .is_some_and(|found| ["yaml", "yml", "json"].iter().any(|&known| found == known));
        // Only what may be a directory is looked at: of ten thousand files, each look counts.
        if is_document {
            return self.files.push(path);
        }
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            return;
        }
        // A link to nothing, or something that was just removed, is no document.
        if let Ok(found) = fs::metadata(&path)
            && found.is_dir()
        {
            self.directory(&path, &found);
        }
    }
}
