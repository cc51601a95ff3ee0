//! What no committed file may say: work left undone, and paths of the machine it was written on.

use super::{Problem, tree::Tree};
use crate::workspace::root;

/// Marks of work left undone; in two parts, so that this file does not hold them.
const MARKS: [&str; 3] = [
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("TO", "DO"),
];

/// Where people's files are.
const HOMES: [&str; 3] = [
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut places: Vec<String> = HOMES.map(str::to_owned).to_vec();
    places.push(root().display().to_string());
    tree.files()
        .flat_map(|(path, text)| check_text(path, text, &places))
        .collect()
}

fn check_text(path: &str, text: &str, places: &[String]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        if let Some(mark) = words.find(|word| MARKS.contains(word)) {
            problems.push(Problem::new(
                path,
                index + 1,
                format!("{mark}: do it, or file an issue"),
            ));
        }
        if let Some(place) = places.iter().find(|place| names_path(line, place)) {
            let what = format!("names {place}, a path of one machine");
            problems.push(Problem::new(path, index + 1, what));
        }
    }
    problems
}

/// True if the line names an absolute path in `place`, not a longer path that ends like it.
fn names_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !"_-./}".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<usize> {
        let places = vec!["/build/me/steer".to_owned(), HOMES[0].to_owned()];
        check_text("a.md", text, &places)
            .iter()
            .map(|problem| problem.line)
            .collect()
    }

    #[test]
    fn marks_are_found_as_words() {
        let text = MARKS
            .map(|mark| format!("// {mark}: later\nx{mark}x"))
            .join("\n");
        assert_eq!(found(&text), [1, 3, 5]);
    }

    #[test]
    fn paths_of_this_machine_are_found() {
        let home = HOMES[0];
        assert_eq!(
            found(&format!(
                "a\n`{home}x`\n/var{home}x\n/build/me/steer/target"
            )),
            [2, 4]
        );
    }
}
