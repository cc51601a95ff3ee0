//! Options of `steer events`.

use super::Output;

/// `steer events`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  steer events                  the last ones
  steer events --follow         and those that come
  steer events -f -o json | jq  one object a line

Told are: traffic that was refused, or would have been; configurations that are put in force, or are
not; DNS answers that taught names, and requests that were copied, by number. The agent tells them: it
must run. It keeps the last 256.")]
pub struct Events {
    /// Go on until stopped
    #[arg(short, long)]
    pub follow: bool,
    /// Only refusals of pods of this namespace
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Format.
    #[command(flatten)]
    pub output: Output,
}
