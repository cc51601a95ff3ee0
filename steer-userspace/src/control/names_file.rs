//! The names file: one JSON line for each number that was given to a name.
//!
//! Appended to before the rows that use the numbers are written, so a listing always finds them;
//! a number that names something else later has a later line.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::plan::{Name, Names};

#[derive(Serialize, Deserialize)]
struct Line {
    number: u32,
    #[serde(flatten)]
    name: Name,
}

pub(super) const NAME: &str = "names.jsonl";

/// Lines of outdated names that are put up with before the file is written anew.
const OUTDATED_LINES_MAX: usize = 200_000;

/// The file, open for appending.
pub struct NamesFile {
    path: PathBuf,
    file: fs::File,
    appended: usize,
}

impl NamesFile {
    /// Starts the file of a state directory with what is known.
    pub fn create(state: &Path, names: &Names) -> io::Result<Self> {
        fs::create_dir_all(state)?;
        let path = state.join(NAME);
        let file = write_whole(state, &path, names)?;
        Ok(Self {
            path,
            file,
            appended: 0,
        })
    }

    /// Adds names.
    pub fn append(&mut self, names: &[(u32, Name)]) -> io::Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let mut text = Vec::new();
        for (number, name) in names {
            write_line(&mut text, *number, name)?;
        }
        self.appended += names.len();
        self.file.write_all(&text)
    }

    /// Whether writing the file anew is worth it.
    pub fn is_long(&self) -> bool {
        self.appended > OUTDATED_LINES_MAX
    }

    /// Writes the file anew, without outdated lines.
    pub fn compact(&mut self, names: &Names) -> io::Result<()> {
        let state = self.path.parent().map(Path::to_owned).unwrap_or_default();
        self.file = write_whole(&state, &self.path, names)?;
        self.appended = 0;
        Ok(())
    }
}

fn write_whole(state: &Path, path: &Path, names: &Names) -> io::Result<fs::File> {
    let mut fresh = BufWriter::new(tempfile::NamedTempFile::new_in(state)?);
    for (number, name) in names.iter() {
        write_line(&mut fresh, number, &name)?;
    }
    let fresh = fresh.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(fresh.persist(path)?)
}

fn write_line(out: &mut impl io::Write, number: u32, name: &Name) -> io::Result<()> {
    serde_json::to_writer(
        &mut *out,
        &Line {
            number,
            name: name.clone(),
        },
    )?;
    out.write_all(b"\n")
}

/// The names of a state directory. No file: no names. A last line that was cut off is left out.
pub fn read_names(state: &Path) -> io::Result<Names> {
    let mut names = Names::default();
    let file = match fs::File::open(state.join(NAME)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
        Err(error) => return Err(error),
    };
    for line in BufReader::new(file).lines() {
        if let Ok(Line { number, name }) = serde_json::from_str(&line?) {
            names.learn(number, name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::desired::model::PodRef;

    fn pod(name: &str) -> Name {
        Name::Workload(Arc::new(PodRef {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
        }))
    }

    #[test]
    fn later_lines_win_and_a_torn_line_is_left_out() {
        let state = tempfile::tempdir().unwrap();
        let mut file = NamesFile::create(state.path(), &Names::default()).unwrap();
        file.append(&[(1, pod("a")), (2, pod("b"))]).unwrap();
        file.append(&[(1, pod("c"))]).unwrap();
        file.file
            .write_all(b"{\"number\":3,\"kind\":\"work")
            .unwrap();
        let names = read_names(state.path()).unwrap();
        assert_eq!(
            names.iter().collect::<Vec<_>>(),
            [(1, pod("c")), (2, pod("b"))]
        );
        file.compact(&names).unwrap();
        assert_eq!(read_names(state.path()).unwrap(), names);
    }
}
