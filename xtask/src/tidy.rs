//! placeholder
use anyhow::Result;
/// Check
#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(long)]
    pub(crate) sizes: bool,
}
pub(crate) fn run(args: &Args) -> Result<()> {
    let _sizes = args.sizes;
    Ok(())
}
