//! Golden files of tests: what a command prints, in `golden/NAME.txt`. With `BLESS=1` the files are
//! written instead: read the difference.

use std::{env, fs, path::Path};

/// Compares what is printed, without its colours.
#[track_caller]
pub(super) fn assert(name: &str, printed: &str) {
    let printed = anstream::adapter::strip_str(printed).to_string();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/golden");
    let path = folder.join(format!("{name}.txt"));
    if env::var_os("BLESS").is_some() {
        fs::write(&path, printed).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == printed,
        "{} differs; now it is:\n{printed}",
        path.display()
    );
}
