//! Rules of earlier generations, in the state directory, and the wish to return to one of them.

use std::{fs, io, io::Write as _, path::Path};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::source::rules::Document;

/// How many sets of rules are kept.
const KEPT: usize = 10;
/// How many bytes of them, all sets together.
const BYTES_MAX: usize = 16 << 20;
/// The file of the sets.
pub(super) const HISTORY_FILE: &str = "history.json";
/// The file of the wish.
pub(super) const ROLLBACK_FILE: &str = "rollback.json";

/// Rules that were in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The first generation that had them.
    pub generation: u32,
    /// When they came into force (RFC 3339).
    pub since: String,
    /// The rules.
    pub rules: Vec<Document>,
}

/// The wish to return.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rollback {
    /// To the rules that came with this generation.
    pub to: u32,
    /// For as long as the files say what came with this generation.
    pub from: u32,
}

/// The sets of rules, oldest first. No file: none.
pub fn read_history(state: &Path) -> io::Result<Vec<Entry>> {
    Ok(read(state, HISTORY_FILE)?.unwrap_or_default())
}

/// Notes rules that came into force, unless they are those of the last entry.
pub(super) fn note(state: &Path, generation: u32, rules: Vec<Document>) -> io::Result<()> {
    let mut entries = read_history(state)?;
    if entries.last().is_some_and(|last| last.rules == rules) {
        return Ok(());
    }
    let since = jiff::Timestamp::now().to_string();
    entries.push(Entry {
        generation,
        since,
        rules,
    });
    let over = entries.len().saturating_sub(KEPT);
    entries.drain(..over);
    let mut bytes = 0;
    let newest = entries.iter().rev().take_while(|entry| {
        bytes += length(&entry.rules);
        bytes <= BYTES_MAX
    });
    let over = entries.len() - newest.count();
    entries.drain(..over);
    write(state, HISTORY_FILE, &entries)
}

/// Whether a set is short enough to be kept.
pub(super) fn fits(rules: &[Document]) -> bool {
    length(rules) <= BYTES_MAX
}

fn length(rules: &[Document]) -> usize {
    rules.iter().map(|document| document.text.len()).sum()
}

/// The rules that were in force in a generation.
pub fn entry_of(entries: &[Entry], generation: u32) -> Option<&Entry> {
    let mut older = entries.iter().rev();
    older.find(|entry| entry.generation <= generation)
}

/// The wish, if there is one.
pub fn read_rollback(state: &Path) -> io::Result<Option<Rollback>> {
    read(state, ROLLBACK_FILE)
}

/// Wishes to return, or no longer to.
pub fn set_rollback(state: &Path, wish: Option<Rollback>) -> io::Result<()> {
    match wish {
        Some(wish) => write(state, ROLLBACK_FILE, &wish),
        None => match fs::remove_file(state.join(ROLLBACK_FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        },
    }
}

fn read<T: DeserializeOwned>(state: &Path, name: &str) -> io::Result<Option<T>> {
    match fs::read(state.join(name)) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write(state: &Path, name: &str, what: &impl Serialize) -> io::Result<()> {
    let mut fresh = tempfile::NamedTempFile::new_in(state)?;
    serde_json::to_writer(&mut fresh, what)?;
    fresh.write_all(b"\n")?;
    fresh.persist(state.join(name))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<Document> {
        vec![Document {
            file: "a.yaml".into(),
            line: 0,
            text: text.into(),
        }]
    }

    #[test]
    fn what_came_last_is_last_and_the_oldest_is_forgotten() {
        let state = tempfile::tempdir().unwrap();
        let state = state.path();
        for generation in [1, 2, 5] {
            note(state, generation, rules(&generation.to_string())).unwrap();
        }
        // Another generation of the same rules is no other set.
        note(state, 7, rules("5")).unwrap();
        let found = read_history(state).unwrap();
        let generations =
            |found: &[Entry]| -> Vec<u32> { found.iter().map(|entry| entry.generation).collect() };
        assert_eq!(generations(&found), [1, 2, 5]);
        let of = |generation| entry_of(&found, generation).map(|entry| entry.generation);
        assert_eq!(
            [of(0), of(1), of(4), of(9)],
            [None, Some(1), Some(2), Some(5)]
        );
        for generation in 10..30 {
            note(state, generation, rules(&generation.to_string())).unwrap();
        }
        let found = read_history(state).unwrap();
        assert_eq!(generations(&found), (20..30).collect::<Vec<_>>());
    }

    #[test]
    fn of_long_rules_fewer_are_kept() {
        let state = tempfile::tempdir().unwrap();
        let state = state.path();
        let long = |byte: &str| rules(&byte.repeat(BYTES_MAX / 2));
        for (generation, byte) in (1..).zip(["a", "b", "c"]) {
            note(state, generation, long(byte)).unwrap();
        }
        let kept: Vec<u32> = read_history(state)
            .unwrap()
            .iter()
            .map(|entry| entry.generation)
            .collect();
        assert_eq!(kept, [2, 3]);
        assert!(fits(&long("a")) && !fits(&rules(&"a".repeat(BYTES_MAX + 1))));
    }

    #[test]
    fn a_wish_is_kept_until_it_is_taken_back() {
        let state = tempfile::tempdir().unwrap();
        let wish = Rollback { to: 3, from: 9 };
        assert_eq!(read_rollback(state.path()).unwrap(), None);
        set_rollback(state.path(), Some(wish)).unwrap();
        assert_eq!(read_rollback(state.path()).unwrap(), Some(wish));
        set_rollback(state.path(), None).unwrap();
        set_rollback(state.path(), None).unwrap();
        assert_eq!(read_rollback(state.path()).unwrap(), None);
    }
}
