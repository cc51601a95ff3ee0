//! What is made from the definition of the command and from the code: completions, man pages,
//! pages of the reference.

use std::{fs, path::Path};

use anyhow::Context as _;
use clap::CommandFactory as _;

use super::{
    Args, Exit,
    args::{Completions, Generate, Man},
    output,
    text::Text,
};

mod reference;

/// Writes completions of a shell.
pub(super) fn completions(args: &Completions) -> anyhow::Result<Exit> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "steer", &mut text);
    output::write(&String::from_utf8(text)?)?;
    Ok(Exit::Done)
}

/// Writes man pages.
pub(super) fn man(args: &Man) -> anyhow::Result<Exit> {
    let Some(directory) = &args.directory else {
        let mut text = Vec::new();
        clap_mangen::Man::new(Args::command()).render(&mut text)?;
        output::write(&String::from_utf8(text)?)?;
        return Ok(Exit::Done);
    };
    fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
    clap_mangen::generate_to(Args::command(), directory)
        .with_context(|| format!("writing into {}", directory.display()))?;
    Ok(Exit::Done)
}

/// Writes the generated pages of the reference.
pub(super) fn docs(args: &Generate) -> anyhow::Result<Exit> {
    let pages = [
        ("cli.md", cli()),
        ("reasons.md", reference::reasons()),
        ("limits.md", reference::limits()),
        ("findings.md", reference::findings()),
        ("metrics.md", reference::metrics()),
    ];
    fs::create_dir_all(&args.out).with_context(|| format!("creating {}", args.out.display()))?;
    for (name, text) in pages {
        write(&args.out.join(name), &text)?;
    }
    Ok(Exit::Done)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

fn cli() -> String {
    let mut text = Text::default();
    text.lines(
        "# Command line\n\nGenerated from the definition of the command (`cargo xtask docs`).\n\n\
         Listings and answers can be had as JSON or YAML (`-o json`, `-o yaml`): the fields are those of \
         the columns, with underscores. Colours are written to terminals only, and not if `NO_COLOR` is \
         set. A reader that goes away (`steer get routes | head`) is no failure.\n",
    );
    let mut command = Args::command().max_term_width(100).term_width(100);
    command.build();
    section(&mut text, &mut command, "steer");
    text.finish()
}

fn section(text: &mut Text, command: &mut clap::Command, name: &str) {
    let help = command
        .clone()
        .color(clap::ColorChoice::Never)
        .render_long_help()
        .to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    text.gap();
    text.line(format_args!("## `{name}`"));
    text.gap();
    text.line(format_args!("```text"));
    text.line(format_args!("{}", lines.join("\n").trim_end()));
    text.line(format_args!("```"));
    for sub in command
        .get_subcommands_mut()
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
    {
        let name = format!("{name} {}", sub.get_name());
        section(text, sub, &name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// clap's own checks: no option is there twice, every default can be parsed, ...
    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    /// The page does not depend on the environment, and shows every command.
    #[test]
    fn every_command_has_a_section() {
        let page = cli();
        let mut command = Args::command();
        command.build();
        let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
        for sub in shown.filter(|sub| sub.get_name() != "help") {
            let heading = format!("\n## `steer {}`\n", sub.get_name());
            assert!(page.contains(&heading), "{heading}");
        }
        assert!(page.contains("\n## `steer get routes`\n") && !page.contains("generate"));
        assert!(page.contains("[env: STEER_PINS]"), "values are hidden");
    }
}
