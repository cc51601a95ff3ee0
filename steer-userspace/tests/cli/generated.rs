//! What is made from the definition of the command.

use std::fs;

use anyhow::Result;

use super::stage::Stage;

#[test]
fn completions_and_man_pages() -> Result<()> {
    let stage = Stage::new(&[])?;
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = stage.run(&format!("completions {shell}"))?;
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{shell}");
        assert!(ended.out.contains("explain"), "{shell}");
    }
    assert!(stage.run("man")?.out.contains(".TH steer 1"));
    assert_eq!(stage.run("man pages")?.code, 0);
    let pages = stage.directory.path().join("pages");
    for page in [
        "steer.1",
        "steer-get.1",
        "steer-get-routes.1",
        "steer-unload.1",
    ] {
        assert!(pages.join(page).exists(), "{page}");
    }
    Ok(())
}

#[test]
fn the_reference_is_written() -> Result<()> {
    let stage = Stage::new(&[])?;
    let ended = stage.run("generate docs --out reference")?;
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    let reference = stage.directory.path().join("reference");
    for (page, wanted) in [
        ("cli.md", "## `steer get routes`"),
        ("findings.md", "| STR0101 |"),
        ("reasons.md", "| `drawn` |"),
        ("limits.md", "| SERVICES |"),
    ] {
        let text = fs::read_to_string(reference.join(page))?;
        assert!(text.contains(wanted), "{page}");
        // Nothing of this machine, or of this run.
        let here = stage.directory.path().display().to_string();
        assert!(!text.contains(&here), "{page}");
    }
    Ok(())
}
