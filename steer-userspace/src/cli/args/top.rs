//! Options of `steer top`.

use super::Output;

/// `steer top`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
SHARE     of the connections since the last look; WEIGHT what the rule asks for
OFF       the largest distance of a destination's connections from its exact share, since these weights
          took effect
DEPTH     connect, hello or request; * becomes request where requests stray from the weights

Keys: q ends; up, down, PgUp, PgDn move; Tab takes the next table; s sorts by the next column;
/ filters by text; p pauses; ? helps.

Connections are counted by the kernel: they are there without an agent. Requests of rules, refusals by
pod and findings are the agent's; rates by source need an agent with --metrics.

Examples:
  steer top                  refreshed each second
  steer top -d 5 catalog     each five seconds; what has catalog in its name
  steer top --once           one look, after one interval
  steer top --once -o json   for scripts")]
pub struct Top {
    /// Only what has this text in one of its names
    #[arg(value_name = "TEXT")]
    pub filter: Option<String>,
    /// Seconds between two looks
    #[arg(short, long, value_name = "SECONDS", default_value_t = 1.0, value_parser = delay)]
    pub delay: f64,
    /// Look once, after one interval, and end; so it is also where there is no terminal, and in
    /// formats for programs
    #[arg(long)]
    pub once: bool,
    /// Format.
    #[command(flatten)]
    pub output: Output,
}

/// A tenth of a second to an hour.
fn delay(text: &str) -> Result<f64, String> {
    let seconds: Option<f64> = text.parse().ok();
    seconds
        .filter(|seconds| (0.1..=3600.0).contains(seconds))
        .ok_or_else(|| "it is seconds, from 0.1 to 3600".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_neither_nothing_nor_for_ever() {
        assert_eq!(delay("0.5"), Ok(0.5));
        for text in ["0", "-1", "NaN", "inf", "3601", "soon"] {
            assert!(delay(text).is_err(), "{text}");
        }
    }
}
